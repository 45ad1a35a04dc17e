package blobstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"golang.org/x/sync/errgroup"
)

// calls watches a bucket: what it syncs and links, below its folder and in order.
// A spool is called so.
func calls(t *testing.T, bucket blobstore.Bucket, folder string) *[]string {
	t.Helper()
	spool := regexp.MustCompile(`\.spool/.*`)
	var mutex sync.Mutex
	var made []string
	blobstore.Watch(bucket, func(call, name string) error {
		mutex.Lock()
		defer mutex.Unlock()
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

// Names that were put unsynced are durable after Sync, and the folders above them too. No folder is synced twice for it.
func TestSyncSyncsWhatIsNotSafe(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bucket := openBucket(t, folder)
	made := calls(t, bucket, folder)
	for _, row := range []struct {
		name        string
		keys        []string
		puts, syncs []string
		removed     bool
	}{
		{name: "new folders", keys: []string{"a/b/1", "a/b/2"}, puts: []string{"link a/b/1", "link a/b/2"}, syncs: []string{"sync .", "sync a", "sync a/b"}},
		{name: "one new folder", keys: []string{"a/c/1", "a/c/2"}, puts: []string{"link a/c/1", "link a/c/2"}, syncs: []string{"sync a", "sync a/c"}},
		{name: "known folders", keys: []string{"a/b/3"}, puts: []string{"link a/b/3"}, syncs: []string{"sync a/b"}},
		{name: "two folders", keys: []string{"a/b/4", "d/1"}, puts: []string{"link a/b/4", "link d/1"}, syncs: []string{"sync .", "sync a/b", "sync d"}},
		{name: "no folder", keys: []string{"1"}, puts: []string{"link 1"}, syncs: []string{"sync ."}},
		{
			name: "folders that another program removed", keys: []string{"a/b/5"}, removed: true,
			puts: []string{"link a/b/5", "link a/b/5"}, syncs: []string{"sync .", "sync a", "sync a/b"},
		},
		{name: "the same again", keys: []string{"a/b/5"}, puts: []string{"link a/b/5", "sync a/b/5"}, syncs: []string{"sync a/b"}},
	} {
		if row.removed {
			if err := os.RemoveAll(filepath.Join(folder, "a")); err != nil {
				t.Fatal(err)
			}
		}
		*made = nil
		for _, key := range row.keys {
			spool := spoolOf(t, bucket, "content")
			if err := bucket.Put(t.Context(), key, spool, blobstore.Attributes{Unsynced: true}); err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
		}
		puts := slices.DeleteFunc(slices.Clone(*made), func(call string) bool { return call == "sync spool" })
		*made = nil
		if err := bucket.Sync(t.Context(), row.keys...); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		slices.Sort(*made)
		if !slices.Equal(puts, row.puts) || !slices.Equal(*made, row.syncs) {
			t.Errorf("%s: puts %q and syncs %q, want %q and %q", row.name, puts, *made, row.puts, row.syncs)
		}
	}
}

func TestSyncFailsUntilTheNamesAreSafe(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, failing string
		keys          []string
		want          error
	}{
		{name: "the folder", failing: "/a", keys: []string{"a/key"}, want: syscall.EIO},
		{name: "its parent", failing: "/.", keys: []string{"a/key"}, want: syscall.EIO},
		{name: "a missing key", failing: "none", keys: []string{"a/key", "a/other"}, want: fs.ErrNotExist},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			bucket := openBucket(t, t.TempDir())
			failOn(bucket, row.failing, syscall.EIO)
			if err := bucket.Put(t.Context(), "a/key", spoolOf(t, bucket, "content"), blobstore.Attributes{Unsynced: true}); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a failed sync leaves nothing safe
				if err := bucket.Sync(t.Context(), row.keys...); !errors.Is(err, row.want) {
					t.Errorf("Sync() error = %v, want %v", err, row.want)
				}
			}
		})
	}
}

// While a folder is synced, all others that want that too wait for one sync more.
func TestSyncsOfAFolderAreShared(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		bucket := openBucket(t, folder)
		var keys []string
		for n := range 9 {
			key := fmt.Sprintf("day/job-%d/image", n)
			if err := bucket.Put(t.Context(), key, spoolOf(t, bucket, "content"), blobstore.Attributes{Unsynced: true}); err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		proceed := make(chan struct{})
		var syncs atomic.Int64
		blobstore.Watch(bucket, func(_, name string) error {
			if strings.HasSuffix(name, "/day") {
				syncs.Add(1)
				<-proceed
			}
			return nil
		})
		var group errgroup.Group
		group.Go(func() error { return bucket.Sync(t.Context(), keys[0]) })
		synctest.Wait() // the first sync has begun
		for _, key := range keys[1:] {
			group.Go(func() error { return bucket.Sync(t.Context(), key) })
		}
		synctest.Wait() // all others wait
		close(proceed)
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if got, want := syncs.Load(), int64(2); got != want {
			t.Errorf("syncs of the folder = %d, want %d", got, want)
		}
	})
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
		{"its parent has no space", "/.", syscall.ENOSPC, blobstore.ErrFull},
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

// A file that is gone, but not durably, is deleted only after a sync.
func TestDeleteSyncsAgain(t *testing.T) {
	t.Parallel()
	bucket := openBucket(t, t.TempDir())
	if err := bucket.Put(t.Context(), "a/key", spoolOf(t, bucket, "content"), blobstore.Attributes{}); err != nil {
		t.Fatal(err)
	}
	failures := 2
	blobstore.Watch(bucket, func(call, _ string) error {
		if call != "sync" || failures == 0 {
			return nil
		}
		failures--
		return syscall.EIO
	})
	for attempt, want := range []error{syscall.EIO, syscall.EIO, nil, nil} {
		if err := bucket.Delete(t.Context(), "a/key"); !errors.Is(err, want) {
			t.Errorf("attempt %d: Delete() = %v, want %v", attempt, err, want)
		}
	}
}
