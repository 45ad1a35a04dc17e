package blobstore_test

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

// calls watches a bucket: what it syncs and links, below its folder and in order.
// A spool is called so.
func calls(t *testing.T, bucket blobstore.Bucket, folder string) *[]string {
	t.Helper()
	spool := regexp.MustCompile(`\.spool/.*`)
	var made []string
	blobstore.Watch(bucket, func(call, name string) error {
		name = strings.TrimPrefix(strings.TrimPrefix(name, folder), "/")
		made = append(made, strings.TrimSpace(call+" "+spool.ReplaceAllString(filepath.Clean(name), "spool")))
		return nil
	})
	return &made
}

// A name appears after its content is safe, and Put returns after the name is.
func TestPutSyncsInOrder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tests := []struct {
		name, key string
		reopened  bool
		want      []string
	}{
		{"new folders", "a/b/key", false, []string{"sync spool", "sync .", "sync a", "link a/b/key", "sync a/b"}},
		{"known folders", "a/b/other", false, []string{"sync spool", "link a/b/other", "sync a/b"}},
		{"the same again", "a/b/key", false, []string{"sync spool", "link a/b/key", "sync a/b/key", "sync a/b"}},
		{"folders of another process", "a/b/third", true, []string{"sync spool", "sync .", "sync a", "link a/b/third", "sync a/b"}},
		{"no folder", "key", false, []string{"sync spool", "link key", "sync ."}},
	}
	bucket := openBucket(t, folder)
	made := calls(t, bucket, folder)
	for _, test := range tests { // one after the other: each finds what those before it left
		if test.reopened {
			bucket = openBucket(t, folder)
			made = calls(t, bucket, folder)
		}
		*made = nil
		if err := put(t, bucket, test.key, "content"); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if !slices.Equal(*made, test.want) {
			t.Errorf("%s: %q, want %q", test.name, *made, test.want)
		}
	}
}

// failOn lets the calls fail that end in text.
func failOn(bucket blobstore.Bucket, text string, fault error) {
	blobstore.Watch(bucket, func(call, name string) error {
		if strings.HasSuffix(call+" "+name, text) {
			return fault
		}
		return nil
	})
}

func TestPutNamesNoFileThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	bucket := openBucket(t, t.TempDir())
	failed := false
	blobstore.Watch(bucket, func(string, string) error {
		if failed {
			return nil // the kernel reports it once
		}
		failed = true
		return syscall.EIO
	})
	spool := spoolOf(t, bucket, "content")
	for range 2 {
		if err := bucket.Put(t.Context(), "key", spool, blobstore.Attributes{}); !errors.Is(err, syscall.EIO) {
			t.Errorf("put: %v, want an input/output error each time", err)
		}
	}
	if _, err := bucket.Open(t.Context(), "key"); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
}

func TestPutFailsUntilTheNameIsSafe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		fault      error
		want       error
	}{
		{"the folder cannot be synced", "/a", syscall.EIO, syscall.EIO},
		{"its parent has no room", "/.", syscall.ENOSPC, blobstore.ErrFull},
		{"the quota is used up", "link a/key", syscall.EDQUOT, blobstore.ErrFull},
		{"the folder is on another disk", "link a/key", syscall.EXDEV, syscall.EXDEV},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			bucket, key := openBucket(t, folder), "a/key"
			failOn(bucket, test.text, test.fault)
			if err := put(t, bucket, key, "content"); !errors.Is(err, test.want) {
				t.Errorf("put: %v, want %v", err, test.want)
			}
			if err := put(t, openBucket(t, folder), key, "content"); err != nil {
				t.Errorf("put when all is well again: %v", err)
			}
		})
	}
}

func TestFolderThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault    error
		want     error
		warnings int
	}{
		"C7: EINVAL":           {fault: syscall.EINVAL, warnings: 1},
		"C7: ENOTSUP":          {fault: syscall.ENOTSUP, warnings: 1},
		"C7: EIO never passed": {fault: syscall.EIO, want: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			warnings := 0
			bucket := openBucketWith(t, t.TempDir(), blobstore.WithWarnings(func(err error) {
				warnings++
				if !errors.Is(err, row.fault) {
					t.Errorf("warning = %v, want %v", err, row.fault)
				}
			}))
			failOn(bucket, "/a", row.fault)
			for _, key := range []string{"a/1", "a/2"} {
				if err := put(t, bucket, key, "content"); !errors.Is(err, row.want) {
					t.Errorf("Put(%s) error = %v, want %v", key, err, row.want)
				}
			}
			if warnings != row.warnings {
				t.Errorf("warnings = %d, want %d", warnings, row.warnings)
			}
		})
	}
}

// The content of a file must be synced, whatever the file system says of folders.
func TestFileThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	bucket := openBucket(t, t.TempDir())
	blobstore.Watch(bucket, func(call, name string) error {
		if call == "sync" && strings.Contains(name, ".spool/") {
			return syscall.EINVAL
		}
		return nil
	})
	if err := put(t, bucket, "key", "content"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Put() error = %v, want %v", err, syscall.EINVAL)
	}
}

// C7: a check fails where a store would.
func TestCheckDoesWhatAStoreDoes(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"sync", "link"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			bucket := openBucket(t, t.TempDir())
			blobstore.Watch(bucket, func(made, _ string) error {
				if made == call {
					return syscall.EIO
				}
				return nil
			})
			if err := bucket.Check(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Errorf("Check() error = %v, want %v", err, syscall.EIO)
			}
		})
	}
}
