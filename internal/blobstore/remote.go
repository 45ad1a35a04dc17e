package blobstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
)

// service is a bucket of an object store, by the names of its objects. Its errors
// say what is wrong in words that follow the key; they hold neither credentials nor
// a signed URL. What the context's end causes is the context's error.
type service interface { //nolint:interfacebloat // what all object stores do
	// create stores content under a name that is free, or nothing. errTaken says that
	// the name is not free, errBusy that another writer is about to take it.
	create(ctx context.Context, name string, c content) error
	// describe says what is under a name, or returns ErrNotFound.
	describe(ctx context.Context, name string) (description, error)
	// open reads what is under a name, or returns ErrNotFound.
	open(ctx context.Context, name string) (*Object, error)
	// remove deletes what is under a name; ErrNotFound is allowed if that is nothing.
	remove(ctx context.Context, name string) error
	// sign makes a link to a name.
	sign(ctx context.Context, name string, expiry time.Duration) (string, error)
	// close closes the connections.
	close()
}

// description is what a service says about an object.
type description struct {
	bytes  int64
	sha256 string // hexadecimal, "" if it was stored without
}

var (
	errTaken    = errors.New("the name is taken")
	errBusy     = errors.New("another writer is using the name")
	errVanished = errors.New("the name is taken, but nothing is found there")
)

// A name that is being fought for is tried this often, with pauses that double.
const (
	maxTries     = 6
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// The bounds of a link that services allow.
const (
	minExpiry = time.Second
	maxExpiry = 7 * 24 * time.Hour
)

// remoteBucket keeps objects in a service and spools in a local folder.
type remoteBucket struct {
	service service
	address address
	disk    *disk // of the spools
	spools  *spools
}

func openRemoteBucket(ctx context.Context, s service, a address, chosen options) (Bucket, error) {
	if chosen.spoolFolder == "" {
		return nil, fmt.Errorf("blobstore: a bucket at %s:// needs a local folder to spool in", a.scheme)
	}
	root, err := makeRoot(chosen.spoolFolder, modes{})
	if err != nil {
		return nil, failure("open the folder for spools", err)
	}
	disk := newDisk(root)
	spools, err := openSpools(ctx, disk)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &remoteBucket{service: s, address: a, disk: disk, spools: spools}, nil
}

// Spool makes an empty local file.
func (b *remoteBucket) Spool(ctx context.Context) (*Spool, error) {
	if err := ctx.Err(); err != nil {
		return nil, failure("make a spool", err)
	}
	return b.spools.spool()
}

// Put sends what the spool holds. The service answers when it is safe.
func (b *remoteBucket) Put(ctx context.Context, key string, spool *Spool, attributes Attributes) error {
	name, err := b.address.name(key)
	if err != nil {
		return err
	}
	if err := errors.Join(b.spools.own(spool), spool.check(attributes)); err != nil {
		return err
	}
	if err := b.createOnce(ctx, name, contentOf(spool, attributes)); err != nil {
		return b.explain(key, err)
	}
	spool.seal()
	return nil
}

// Sync does nothing: Put returns when the service has stored the object.
func (*remoteBucket) Sync(context.Context, ...string) error { return nil }

// createOnce creates the object, or finds the same one there. It tries again when
// another writer came in between: that one may fail, and then there is nothing.
func (b *remoteBucket) createOnce(ctx context.Context, name string, c content) error {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := b.create(ctx, name, c)
		if errors.Is(err, errTaken) {
			err = b.confirm(ctx, name, c)
		}
		if errors.Is(err, ErrNotFound) {
			err = errVanished
		}
		undecided := errors.Is(err, errBusy) || errors.Is(err, errVanished)
		if !undecided || try == maxTries {
			return err
		}
		if err := background.Sleep(ctx, background.Backoff(firstPause, longestPause, try-1)); err != nil {
			return err
		}
	}
}

// create stores an object. What is not found then is the bucket.
func (b *remoteBucket) create(ctx context.Context, name string, c content) error {
	err := b.service.create(ctx, name, c)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("the service has no bucket %s", b.address.bucket)
	}
	return err
}

// confirm checks that the name holds the content. An object that does not say its
// hash is read.
func (b *remoteBucket) confirm(ctx context.Context, name string, c content) error {
	found, err := b.service.describe(ctx, name)
	if err != nil {
		return err
	}
	same := found.bytes == c.size
	switch {
	case same && found.sha256 != "":
		same = found.sha256 == c.sha256
	case same:
		same, err = b.holds(ctx, name, c.sha256)
	}
	if err == nil && !same {
		err = ErrConflict
	}
	return err
}

func (b *remoteBucket) holds(ctx context.Context, name, sha256 string) (bool, error) {
	object, err := b.service.open(ctx, name)
	if err != nil {
		return false, err
	}
	defer func() { _ = object.Close() }()
	return hashes(ctx, object, sha256)
}

// Open reads the object under key.
func (b *remoteBucket) Open(ctx context.Context, key string) (*Object, error) {
	name, err := b.address.name(key)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, b.explain(key, err)
	}
	object, err := b.service.open(ctx, name)
	if err != nil {
		return nil, b.explain(key, err)
	}
	return object, nil
}

// Delete deletes the object under key.
func (b *remoteBucket) Delete(ctx context.Context, key string) error {
	name, err := b.address.name(key)
	if err != nil {
		return err
	}
	if err := b.service.remove(ctx, name); err != nil && !errors.Is(err, ErrNotFound) {
		return b.explain(key, err)
	}
	return nil
}

// URL is the address of key, with the scheme of the bucket.
func (b *remoteBucket) URL(key string) string { return b.address.urlOf(key) }

// SignedURL makes a link.
func (b *remoteBucket) SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error) {
	name, err := b.address.name(key)
	if err != nil {
		return "", err
	}
	if expiry < minExpiry || expiry > maxExpiry {
		return "", fmt.Errorf("blobstore: a link lives from %s to %s, not for %s", minExpiry, maxExpiry, expiry)
	}
	link, err := b.service.sign(ctx, name, expiry)
	if err != nil {
		return "", b.explain(key, err)
	}
	return link, nil
}

// Close removes the spools that were not closed, and closes the connections.
func (b *remoteBucket) Close() error {
	b.service.close()
	if err := errors.Join(b.spools.close(), b.disk.Close()); err != nil {
		return failure("close the bucket", err)
	}
	return nil
}

// explain says with which key something went wrong.
func (b *remoteBucket) explain(key string, err error) error {
	for _, known := range []error{ErrConflict, ErrNotFound} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %q", known, key)
		}
	}
	if errors.Is(err, ErrKey) || errors.Is(err, ErrFull) || errors.Is(err, ErrDenied) || errors.Is(err, ErrUnsupported) {
		return fmt.Errorf("%w (key %q)", err, key)
	}
	return fmt.Errorf("blobstore: %q: %w", key, err)
}
