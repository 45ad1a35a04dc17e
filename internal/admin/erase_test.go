package admin_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/rs/zerolog"
)

func TestEraseJob(t *testing.T) {
	t.Parallel()
	failure := errors.New("the disk is full")
	api, form := "/api/v1/erasures?job=a&images=true", "/erasures?job=a&images=true"
	for _, row := range []struct {
		name, target string
		token        string
		change       func(*http.Request)
		done         retention.Erased
		err          error

		status int
		did    string // of the page after a form
		calls  int
		logged bool
	}{
		{name: "api", target: api, done: retention.Erased{Job: "a", Events: 1, Finished: true}, status: 200, calls: 1, logged: true},
		{name: "form", target: form, done: retention.Erased{Job: "a", Events: 1, Finished: true}, status: 303, did: "erased", calls: 1, logged: true},
		{name: "files are pending", target: form, done: retention.Erased{Job: "a", Pending: 1, Finished: true}, status: 303, did: "erasing", calls: 1, logged: true},
		{name: "a step has begun", target: form, done: retention.Erased{Job: "a"}, status: 303, did: "erasing", calls: 1, logged: true},
		{name: "failed in between", target: api, done: retention.Erased{Job: "a"}, err: failure, status: 500, calls: 1, logged: true},
		{name: "a step is running", target: api, err: retention.ErrRunning, status: 409, calls: 1},
		{name: "unknown job", target: api, err: database.ErrNotFound, status: 404, calls: 1},
		{name: "no job", target: "/api/v1/erasures", status: 400},
		{name: "malformed flag", target: "/api/v1/erasures?job=a&images=some", status: 400},
		{name: "no token", target: api, token: adminToken, status: 401},
		{name: "form of another site", target: form, change: withHeader("Sec-Fetch-Site", "cross-site"), status: 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			calls := 0
			deps := openStores(t).deps()
			deps.Log = zerolog.New(&log)
			deps.Erase = func(_ context.Context, job string, images bool) (retention.Erased, error) {
				calls++
				if job != "a" || !images {
					t.Errorf("Erase(%q, %t), want job a with images", job, images)
				}
				return row.done, row.err
			}
			response := ask(serve(t, row.token, deps), http.MethodPost, row.target, row.change)
			if response.StatusCode != row.status || calls != row.calls {
				t.Errorf("status, calls = %d, %d, want %d, %d", response.StatusCode, calls, row.status, row.calls)
			}
			if row.did != "" {
				if location, err := response.Location(); err != nil || location.Query().Get("did") != row.did {
					t.Errorf("location = %v, error %v, want did = %s", location, err, row.did)
				}
			}
			if logged := bytes.Contains(log.Bytes(), []byte(`"action":"erase"`)); logged != row.logged {
				t.Errorf("logged = %t, want %t: %s", logged, row.logged, &log)
			}
		})
	}
}
