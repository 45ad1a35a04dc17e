package blobstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

// What a bucket does with links does not depend on whether the kernel can open a path below a folder in one call.
func TestLinksBelowTheFolder(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(blobstore.Bucket) blobstore.Bucket{
		"one call":  func(bucket blobstore.Bucket) blobstore.Bucket { return bucket },
		"many ones": blobstore.WithoutHeldFolders,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, outside := t.TempDir(), t.TempDir()
			for link, to := range map[string]string{"inside": "real", "outside": outside, "above": "../" + filepath.Base(outside)} {
				if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(folder, "real"), 0o750); err != nil {
				t.Fatal(err)
			}
			bucket := open(openBucket(t, folder))
			for _, row := range []struct {
				key    string
				stored bool
			}{
				{key: "inside/new", stored: true},
				{key: "inside/below/new", stored: true},
				{key: "outside/new"},
				{key: "above/new"},
				{key: "above/below/new"},
			} {
				err := bucket.Put(t.Context(), row.key, spoolOf(t, bucket, "content"), blobstore.Attributes{Unsynced: true})
				if (err == nil) != row.stored {
					t.Errorf("Put(%s) error = %v, want stored = %t", row.key, err, row.stored)
				}
				if err := bucket.Sync(t.Context(), row.key); (err == nil) != row.stored {
					t.Errorf("Sync(%s) error = %v, want stored = %t", row.key, err, row.stored)
				}
			}
			if got, want := files(t, filepath.Join(folder, "real")), []string{"below/new", "new"}; !slices.Equal(got, want) {
				t.Errorf("files = %v, want %v", got, want)
			}
			if err := bucket.Delete(t.Context(), "inside/new"); err != nil {
				t.Fatal(err)
			}
			if object, err := bucket.Open(t.Context(), "inside/below/new"); err != nil {
				t.Errorf("Open beside a deleted file: error = %v, want none", err)
			} else {
				_ = object.Close()
			}
			if got := files(t, outside); len(got) > 0 {
				t.Errorf("files outside = %v, want none", got)
			}
		})
	}
}

// A folder that another program moved away does not get the files of its old name.
func TestFolderIsMovedAway(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bucket := openBucket(t, folder)
	unsynced := blobstore.Attributes{Unsynced: true}
	if err := bucket.Put(t.Context(), "day/job/1", spoolOf(t, bucket, "content"), unsynced); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(folder, "day"), filepath.Join(folder, "archive")); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Put(t.Context(), "day/job/2", spoolOf(t, bucket, "content"), unsynced); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Sync(t.Context(), "day/job/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Sync of the moved file: error = %v, want %v", err, fs.ErrNotExist)
	}
	if got, want := files(t, folder), []string{"archive/job/1", "day/job/2"}; !slices.Equal(got, want) {
		t.Errorf("files = %v, want %v", got, want)
	}
}
