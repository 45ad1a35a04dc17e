package admin

import (
	"context"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// actionErase removes all that is stored about a job.
const actionErase = "erase"

// eraseJob answers POST erasures. It continues when the client disconnects, so that nothing is erased by half.
func (a *Admin) eraseJob(_ http.ResponseWriter, r *http.Request) (result, error) {
	if err := r.ParseForm(); err != nil {
		return result{}, unreadableForm()
	}
	job := r.Form.Get("job")
	if job == "" || len(job) > event.MaxJobBytes {
		return result{}, badRequest("The parameter job must be the id of a job.")
	}
	images, err := readBool(r.Form, "images")
	if err != nil {
		return result{}, err
	}
	done, err := a.deps.Erase(context.WithoutCancel(r.Context()), job, images)
	if done.Job != "" {
		a.deps.Log.Info().Err(err).Str("action", actionErase).Str("job", job).Bool("images", images).Int("events", done.Events).
			Int("rejections", done.Rejections).Int("files", done.Files).Int("files_pending", done.Pending).Bool("finished", done.Finished).Msg("job erased")
	}
	if err != nil {
		return result{}, err
	}
	did := noticeErased
	if !done.Finished || done.Pending > 0 {
		did = noticeErasing
	}
	return result{body: done, page: "/events", notice: did, count: done.Events}, nil
}
