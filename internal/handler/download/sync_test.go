package download_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
)

// syncedBucket notes which keys were put and whose names are durable.
type syncedBucket struct {
	blobstore.Bucket

	fault error // of Sync
	put   func()

	mutex    sync.Mutex
	unsynced map[string]struct{}
}

func (b *syncedBucket) Put(ctx context.Context, key string, spool *blobstore.Spool, attributes blobstore.Attributes) error {
	err := b.Bucket.Put(ctx, key, spool, attributes)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err == nil && attributes.Unsynced {
		b.unsynced[key] = struct{}{}
	}
	if b.put != nil {
		b.put()
	}
	return err
}

func (b *syncedBucket) Sync(ctx context.Context, keys ...string) error {
	if b.fault != nil {
		return b.fault
	}
	err := b.Bucket.Sync(ctx, keys...)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err == nil {
		for _, key := range keys {
			delete(b.unsynced, key)
		}
	}
	return err
}

// What an outcome lists as stored survives a crash, also if the attempt failed or was interrupted.
func TestArtifactsAreDurable(t *testing.T) {
	t.Parallel()
	failing := []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: 503, Image: 1}}
	for _, row := range []struct {
		name      string
		faults    []fakevendortest.Fault
		interrupt bool  // after the first image
		fault     error // of the sync
		artifacts int
		want      event.Reason
	}{
		{name: "all is stored", artifacts: 3},
		{name: "an image fails", faults: failing, artifacts: 1, want: event.ReasonServerError},
		{name: "the attempt is interrupted", interrupt: true, artifacts: 1, want: event.ReasonOther},
		{name: "the sync fails", fault: syscall.EIO, want: event.ReasonStorage},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t, download.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			bucket := &syncedBucket{fault: row.fault, unsynced: map[string]struct{}{}}
			if row.interrupt {
				bucket.put = cancel
			}
			h.handler.ReplaceBucket(func(inner blobstore.Bucket) blobstore.Bucket {
				bucket.Bucket = inner
				return bucket
			})
			e, _ := h.event(t, fakevendortest.JobOptions{Images: 2, Shape: fakevendortest.ResultMap, Faults: row.faults})
			outcome, err := h.handler.Handle(ctx, e)
			if len(outcome.Artifacts) != row.artifacts || (err == nil) != (row.want == "") {
				t.Errorf("artifacts = %d, error %v; want %d and reason %q", len(outcome.Artifacts), err, row.artifacts, row.want)
			}
			if err != nil && handler.Classify(err).Reason != row.want {
				t.Errorf("reason = %q, want %q", handler.Classify(err).Reason, row.want)
			}
			for _, artifact := range outcome.Artifacts {
				if _, ok := bucket.unsynced[artifact.Key]; ok {
					t.Errorf("artifact %s may be lost in a crash, want it durable", artifact.Key)
				}
			}
			if row.fault != nil && !errors.Is(err, row.fault) {
				t.Errorf("error = %v, want %v", err, row.fault)
			}
		})
	}
}
