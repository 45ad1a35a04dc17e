package download

import (
	"context"
	"errors"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

// bucketCheck keeps images out of a bucket until it is known to protect objects from being overwritten.
type bucketCheck struct {
	bucket blobstore.Bucket
	mutex  sync.Mutex
	passed bool
}

// run checks the bucket now.
func (c *bucketCheck) run(ctx context.Context) error {
	err := c.bucket.Check(ctx)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.passed = c.passed || err == nil || errors.Is(err, blobstore.ErrUnreadable)
	return err
}

// ensure checks the bucket unless an earlier check passed. Images can be stored where they cannot be read. A folder needs no check.
func (c *bucketCheck) ensure(ctx context.Context) error {
	c.mutex.Lock()
	passed := c.passed
	c.mutex.Unlock()
	if passed || blobstore.Folder(c.bucket) != "" {
		return nil
	}
	if err := c.run(ctx); !errors.Is(err, blobstore.ErrUnreadable) {
		return err
	}
	return nil
}
