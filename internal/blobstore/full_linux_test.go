package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

func TestWriteKnowsAFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0) // a device of Linux on which every write finds no space
	if err != nil {
		t.Fatal(err)
	}
	spool := blobstore.SpoolInto(full)
	for range 2 {
		if n, err := io.WriteString(spool, "content"); n != 0 || !errors.Is(err, blobstore.ErrFull) {
			t.Errorf("wrote %d bytes: %v", n, err)
		}
	}
	if err := spool.Close(); err != nil {
		t.Error(err)
	}
}

// The test binary fills a small file system of its own, in a name space where
// it may mount one.
func TestBucketSurvivesAFullDisk(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), os.Args[0], t.TempDir())
	command.Env = append(os.Environ(), roleVariable+"=filler")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	output, err := command.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("this system allows no name spaces: %v", err)
	}
	if err != nil {
		t.Errorf("child process: error = %v, want none; output: %s", err, output)
	}
}

// fillDisk mounts a file system of half a megabyte on its first argument and
// stores more than it holds.
func fillDisk() error {
	if err := syscall.Mount("tmpfs", os.Args[1], "tmpfs", 0, "size=512k,nr_inodes=20"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	ctx := context.Background()
	bucket, err := blobstore.Open(ctx, "file://"+os.Args[1]+"/images")
	if err != nil {
		return err
	}
	return errors.Join(fillSpool(ctx, bucket), fillNames(ctx, bucket), bucket.Close())
}

func fillSpool(ctx context.Context, bucket blobstore.Bucket) error {
	spool, err := bucket.Spool(ctx)
	if err != nil {
		return err
	}
	if n, err := spool.Write(make([]byte, 1<<20)); !errors.Is(err, blobstore.ErrFull) || n != int(spool.Size()) {
		return fmt.Errorf("wrote %d bytes of a megabyte: %w", n, err)
	} else if errors.Is(err, blobstore.ErrNoInodes) {
		return fmt.Errorf("error of a full disk = %w, want only %w", err, blobstore.ErrFull)
	}
	if err := bucket.Put(ctx, "half", spool, blobstore.Attributes{}); !errors.Is(err, blobstore.ErrFull) {
		return fmt.Errorf("put half an object: %w", err)
	}
	if _, err := bucket.Open(ctx, "half"); !errors.Is(err, blobstore.ErrNotFound) {
		return fmt.Errorf("open half an object: %w", err)
	}
	return spool.Close()
}

// fillNames stores objects until there is no space for another name, and goes on
// once there is space again.
func fillNames(ctx context.Context, bucket blobstore.Bucket) error {
	for i := range 20 {
		err := store(ctx, bucket, fmt.Sprintf("a/%d", i))
		if errors.Is(err, blobstore.ErrFull) && i > 0 {
			if !errors.Is(err, blobstore.ErrNoInodes) {
				return fmt.Errorf("C9: error = %w, want %w", err, blobstore.ErrNoInodes)
			}
			return errors.Join(os.Remove(os.Args[1]+"/images/a/0"), store(ctx, bucket, "a/after"))
		}
		if err != nil {
			return err
		}
	}
	return errors.New("20 objects went into a file system of 20 names")
}

func store(ctx context.Context, bucket blobstore.Bucket, key string) error {
	spool, err := bucket.Spool(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(spool, key)
	if err == nil {
		err = bucket.Put(ctx, key, spool, blobstore.Attributes{})
	}
	return errors.Join(err, spool.Close())
}
