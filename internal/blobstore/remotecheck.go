package blobstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// checkName is the name of the object by which Check tries a bucket. CheckKey
// reserves it, so that it never conflicts with another object.
const checkName = spoolsName + "-check"

// What Check tries to store, one after the other. The first stays, so that no
// right to remove objects is needed; the second must never be seen.
const (
	checkKept    = "This object shows that objects can be stored here, and that none is ever overwritten. It may be removed.\n"
	checkRefused = "This object has overwritten another: the service does not keep the condition If-None-Match.\n"
)

// ErrOverwrites means that the service lets one object overwrite another: nothing in the bucket would be safe.
var ErrOverwrites = errors.New("the service lets one object overwrite another: it ignores the condition of a write " +
	"(If-None-Match, or a generation or ETag), which is needed here")

// ErrUnreadable means that objects can be stored and are protected, but not read.
var ErrUnreadable = errors.New("an object that is there cannot be read")

// Check stores a small object, unless an earlier Check did, sees that no other
// can take its name, and reads it.
func (b *remoteBucket) Check(ctx context.Context) error {
	spool, err := b.Spool(ctx)
	if err == nil {
		err = spool.Close()
	}
	if err == nil {
		err = b.try(ctx, b.address.prefix+checkName)
	}
	if err != nil {
		return fmt.Errorf("the bucket %s://%s cannot be used: %w", b.address.scheme, b.address.bucket, err)
	}
	return nil
}

func (b *remoteBucket) try(ctx context.Context, name string) error {
	err := b.create(ctx, name, textOf(checkKept))
	if err != nil && !isRefused(err) {
		return fmt.Errorf("an object cannot be stored: %w", err)
	}
	err = b.create(ctx, name, textOf(checkRefused))
	if err == nil {
		return ErrOverwrites
	}
	if !isRefused(err) {
		return fmt.Errorf("an object cannot be protected from being overwritten: %w", err)
	}
	object, err := b.service.open(ctx, name)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(object, int64(len(checkKept))))
		err = errors.Join(err, object.Close())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return nil
}

// isRefused says that a service kept something from being overwritten; another
// Check may be under way.
func isRefused(err error) bool { return errors.Is(err, errTaken) || errors.Is(err, errBusy) }

func textOf(text string) content {
	sum := sha256.Sum256([]byte(text))
	return content{
		from: bytes.NewReader([]byte(text)), size: int64(len(text)),
		sha256: hex.EncodeToString(sum[:]), mediaType: "text/plain; charset=utf-8",
	}
}
