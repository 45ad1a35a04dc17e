package retention

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
)

// Erased is what Erase has removed of a job.
type Erased struct {
	Job        string `json:"job"`
	Events     int    `json:"events"`
	Rejections int    `json:"rejections"`
	Files      int    `json:"files"`         // stored images and manifests that are deleted
	Pending    int    `json:"files_pending"` // that will be: their bucket does not answer, or another event of the job is being processed
	Finished   bool   `json:"finished"`      // false if a step has begun meanwhile: the rest is erased when it ends
}

// ErrRunning means that a step of the job is running, so that nothing was erased.
var ErrRunning = database.Refuse("a step of the job is running")

const (
	// runningTimeout is how long Erase waits for running steps, and runningPoll the pause between two looks.
	runningTimeout = 5 * time.Second
	runningPoll    = 100 * time.Millisecond
	// skewMargin is by how much the clock of another replica may be ahead.
	skewMargin = time.Second
	// confirmAfter is when an erasure is looked at again, because the relay may have carried an event of the job meanwhile.
	confirmAfter = 10 * time.Second
	// fileTimeout bounds the deletion of one file. After that time no further ones of its handler begin in the same pass.
	fileTimeout = 10 * time.Second
)

// Erase removes all that is stored about the events of a job: bodies, history, rejected callbacks with its id, and with images its
// stored files. Tombstones stay, so that a repeat is a duplicate. While a step is running it waits, and then returns ErrRunning, with
// nothing changed. From then on it goes to its end: what a crash or an error leaves is erased by the loop, also after a restart. Beside
// such an error, the result has the job. It returns database.ErrNotFound if nothing is known of the job.
func (r *Retention) Erase(ctx context.Context, job string, images bool) (Erased, error) {
	stored, err := r.deps.Inbox.OfJob(ctx, job)
	if err != nil {
		return Erased{}, err
	}
	known, err := r.deps.Store.knows(ctx, job)
	if err != nil {
		return Erased{}, err
	}
	if len(stored) == 0 && !known {
		return Erased{}, database.ErrNotFound
	}
	if err := r.beginErasure(ctx, job, images); err != nil {
		return Erased{}, err
	}
	done, err := r.erase(ctx, erasure{job: job, images: images, requested: r.deps.Store.now()})
	if errors.Is(err, ErrRunning) {
		return done, nil
	}
	done.Finished = err == nil
	return done, err
}

// beginErasure begins an erasure when no step of the job is running.
func (r *Retention) beginErasure(ctx context.Context, job string, images bool) error {
	deadline := time.Now().Add(runningTimeout)
	for {
		err := r.deps.Store.beginErasure(ctx, job, images)
		if !errors.Is(err, ErrRunning) || time.Now().After(deadline) {
			return err
		}
		if err := background.Sleep(ctx, runningPoll); err != nil {
			return err
		}
	}
}

// erase continues an erasure from wherever it was left.
func (r *Retention) erase(ctx context.Context, e erasure) (done Erased, err error) {
	done.Job = e.job
	stored, err := r.deps.Inbox.OfJob(ctx, e.job)
	if err != nil {
		return done, err
	}
	var remove []inbox.Identity
	var staying []event.ID // callbacks that came after the request
	for _, s := range stored {
		switch {
		case s.Removed:
		case e.removed || s.Received.After(e.requested.Add(skewMargin)):
			staying = append(staying, s.ID)
		default:
			remove = append(remove, s.Identity)
		}
	}
	for some := range slices.Chunk(remove, maxEvents) {
		if err := r.deps.Inbox.Remove(ctx, some, r.deps.Store.now()); err != nil {
			return done, err
		}
	}
	if done.Events, err = r.deps.Store.eraseEvents(ctx, e, staying); err != nil {
		return done, err
	}
	done.Events = max(done.Events, len(remove)) // some were not relayed yet
	r.metrics.count(kindErased, done.Events)
	if !e.removed {
		if done.Rejections, err = r.eraseRejections(ctx, e.job); err != nil {
			return done, err
		}
	}
	for more := e.images; more; {
		deleted, finished, err := r.deleteFiles(ctx, e.job)
		if done.Files += deleted; err != nil {
			return done, err
		}
		more = finished > 0
	}
	if e.images {
		if done.Pending, err = r.deps.Store.countRemovedFiles(ctx, e.job); err != nil {
			return done, err
		}
	}
	return done, r.deps.Store.endErasure(ctx, e)
}

func (r *Retention) eraseRejections(ctx context.Context, job string) (int, error) {
	ids, err := r.deps.Inbox.RejectionsOf(ctx, job)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), r.deps.Inbox.DeleteRejections(ctx, ids)
}

// continueErasures continues the erasures that an error or a crash has left, and looks once more at those that have ended.
func (r *Retention) continueErasures(ctx context.Context) error {
	list, err := r.deps.Store.erasures(ctx, r.deps.Store.now().Add(-confirmAfter))
	for _, e := range list {
		_, failure := r.erase(ctx, e)
		err = errors.Join(err, failure)
	}
	return err
}

// removeFiles deletes files of any job that no event has any more, and reports whether there may be more.
func (r *Retention) removeFiles(ctx context.Context) (more bool, err error) {
	_, finished, err := r.deleteFiles(ctx, "")
	return finished > 0, err
}

// deleteFiles deletes some of the files of a job that no event has any more, "" for any job. A file that another event has too is
// finished, but not deleted. What one handler's bucket refuses does not hold up the files of others.
func (r *Retention) deleteFiles(ctx context.Context, job string) (deleted, finished int, err error) {
	handlers, err := r.deps.Store.handlersOfRemovedFiles(ctx, job)
	if err != nil {
		return 0, 0, err
	}
	for _, handler := range handlers {
		d, f, failure := r.deleteFilesOf(ctx, handler, job)
		deleted, finished, err = deleted+d, finished+f, errors.Join(err, failure)
	}
	r.metrics.count(kindFiles, deleted)
	return deleted, finished, err
}

// deleteFilesOf is deleteFiles for one handler. What it cannot delete now is tried again after all others.
func (r *Retention) deleteFilesOf(ctx context.Context, handler, job string) (deleted, finished int, err error) {
	files, err := r.deps.Store.removedFiles(ctx, handler, job)
	if err != nil {
		return 0, 0, err
	}
	var later []any
	for begun := time.Now(); len(files) > 0 && time.Since(begun) < fileTimeout; files = files[1:] {
		f := files[0]
		use, err := r.deps.Store.useOf(ctx, f)
		if err != nil {
			return deleted, finished, err
		}
		if use == useUnknown || use == useNone && r.deleteFile(ctx, f) != nil {
			later = append(later, f.key)
			continue
		}
		if err := r.deps.Store.forgetFile(ctx, f); err != nil {
			return deleted, finished, err
		}
		finished++
		if use == useNone {
			deleted++
		}
	}
	return deleted, finished, r.deps.Store.postponeFiles(ctx, handler, later)
}

func (r *Retention) deleteFile(ctx context.Context, f removedFile) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	if err := r.deps.DeleteFile(ctx, event.Artifact{Handler: f.handler, Key: f.key, SHA256: f.sha256}); err != nil {
		r.deps.Log.Warn().Err(err).Str("handler", f.handler).Msg("deleting file failed, will retry")
		return err
	}
	if r.deps.Thumbnails != nil {
		r.deps.Thumbnails.Remove(f.sha256)
	}
	return nil
}
