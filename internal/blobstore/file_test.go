package blobstore_test

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

// The suites are not parallel: they count what the process allocates.

func TestFileBucket(t *testing.T) {
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket { return openBucket(t, t.TempDir()) })
}

func TestFileBucketWithoutHardLinks(t *testing.T) {
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket { return blobstore.WithoutLinks(openBucket(t, t.TempDir())) })
}

// C7: neither hard links nor RENAME_NOREPLACE.
func TestFileBucketWithoutHardLinksAndRenames(t *testing.T) {
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket { return blobstore.WithoutRenames(openBucket(t, t.TempDir())) })
}

func TestFileBucketWithoutHeldFolders(t *testing.T) {
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket { return blobstore.WithoutHeldFolders(openBucket(t, t.TempDir())) })
}

func openBucket(t *testing.T, folder string) blobstore.Bucket {
	t.Helper()
	return openBucketWith(t, folder)
}

func openBucketWith(t *testing.T, folder string, options ...blobstore.Option) blobstore.Bucket {
	t.Helper()
	bucket, err := blobstore.Open(t.Context(), fileURL(t, folder), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bucket.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return bucket
}

func fileURL(t *testing.T, folder string) string {
	t.Helper()
	absolute, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: absolute}).String()
}

// spoolOf returns a spool that holds content.
func spoolOf(t *testing.T, bucket blobstore.Bucket, content string) *blobstore.Spool {
	t.Helper()
	spool, err := bucket.Spool(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	if _, err := io.WriteString(spool, content); err != nil {
		t.Fatal(err)
	}
	return spool
}

func put(t *testing.T, bucket blobstore.Bucket, key, content string) error {
	t.Helper()
	return bucket.Put(t.Context(), key, spoolOf(t, bucket, content), blobstore.Attributes{})
}

// files lists the files below folder, lock files left out.
func files(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "lock" {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOpenFindsTheFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "a folder", "100% new", "ümlaut")
	working, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(working, folder)
	if err != nil {
		t.Fatal(err)
	}
	plain := fileURL(t, folder)
	for _, address := range []string{
		plain, strings.Replace(plain, "file://", "file://localhost", 1), plain + "/",
		"file://./" + (&url.URL{Path: relative}).EscapedPath(), "file:" + (&url.URL{Path: folder}).EscapedPath(),
	} {
		bucket, err := blobstore.Open(t.Context(), address)
		if err != nil {
			t.Errorf("open %s: %v", address, err)
			continue
		}
		if err := put(t, bucket, "k%ey", "content"); err != nil {
			t.Errorf("put into %s: %v", address, err)
		}
		if got := bucket.URL("k%ey"); got != plain+"/k%25ey" {
			t.Errorf("URL = %s, want %s/k%%25ey", got, plain)
		}
		if err := bucket.Close(); err != nil {
			t.Errorf("close %s: %v", address, err)
		}
	}
	if got := files(t, folder); !slices.Equal(got, []string{"k%ey"}) {
		t.Errorf("files = %v, want k%%ey", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, address, says string }{
		{"nothing", "", "file://"},
		{"a path", "/var/lib/images", "file://"},
		{"another scheme", "ftp://key:hunter2@example.com/x", `"ftp"`},
		{"what is no URL", "file://%zz:hunter2@", "not a URL"},
		{"another host", "file://images/2026", "three slashes"},
		{"no folder", "file:///", "no folder"},
		{"the working directory itself", "file://.", "no folder"},
		{"a query", "file:///var/lib/images?region=x", "plain path"},
		{"a user", "file://me:hunter2@/var/lib/images", "plain path"},
		{"an opaque path", "file:images", "plain path"},
		{"a null byte", "file:///var/lib/%00", "plain path"},
		{"a file", "file://" + file, "not a directory"},
		{"a folder below a file", "file://" + file + "/images", "not a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bucket, err := blobstore.Open(t.Context(), test.address)
			if err == nil {
				_ = bucket.Close()
				t.Fatal("Open: error = nil, want one")
			}
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("says %q, want %q in it", err, test.says)
			}
		})
	}
}

func TestIdenticalPutLeavesTheFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bucket := openBucket(t, folder)
	var before, after os.FileInfo
	for _, info := range []*os.FileInfo{&before, &after} {
		if err := put(t, bucket, "key", "content"); err != nil {
			t.Fatal(err)
		}
		found, err := os.Stat(filepath.Join(folder, "key"))
		if err != nil {
			t.Fatal(err)
		}
		*info = found
	}
	if !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the second put made another file (modified %v, then %v), want the first one", before.ModTime(), after.ModTime())
	}
}

func TestFilesAreForOwnerAndGroup(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "images")
	bucket := openBucket(t, folder)
	if err := put(t, bucket, "a/key", "content"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o750, "a": 0o750, "a/key": 0o640, ".spool": 0o700} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got&^want != 0 || got&0o400 == 0 {
			t.Errorf("%q has mode %o, want %o or less by the umask", name, got, want)
		}
	}
}

func TestPutDistinguishesFoldersAndFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bucket := openBucket(t, folder)
	if err := put(t, bucket, "a/key", "content"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, key, says string }{
		{"a folder", "a", "a folder"},
		{"below a file", "a/key/below", "is a file"},
		{"far below a file", "a/key/far/below", "is a file"},
		{"a pipe", "pipe", "special file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := put(t, bucket, test.key, "content")
			if !errors.Is(err, blobstore.ErrKey) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSymbolicLinksDoNotLeadOutside(t *testing.T) {
	t.Parallel()
	folder, outside := t.TempDir(), t.TempDir()
	target := filepath.Join(outside, "file")
	if err := os.WriteFile(target, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"folder": outside, "file": target, "dangling": filepath.Join(outside, "new")} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	bucket := openBucket(t, folder)
	for _, key := range []string{"folder/new", "folder/below/new", "folder/file", "file", "dangling"} {
		if err := put(t, bucket, key, "content"); err == nil {
			t.Errorf("Put of %s: error = nil, want one", key)
		}
		if object, err := bucket.Open(t.Context(), key); err == nil {
			_ = object.Close()
			t.Errorf("Open of %s: error = nil, want one", key)
		}
	}
	if got := files(t, outside); !slices.Equal(got, []string{"file"}) {
		t.Errorf("files outside = %v, want file", got)
	}
}

func TestOpenRefusesSpoolsThatLeadOutside(t *testing.T) {
	t.Parallel()
	folder, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(folder, ".spool")); err != nil {
		t.Fatal(err)
	}
	if bucket, err := blobstore.Open(t.Context(), fileURL(t, folder)); err == nil {
		_ = bucket.Close()
		t.Error("Open: error = nil, want one")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside there is %v, error %v", entries, err)
	}
}

func TestCloseRemovesSpools(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bucket, err := blobstore.Open(t.Context(), fileURL(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	left := spoolOf(t, bucket, "content")
	if err := put(t, bucket, "key", "content"); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := left.Close(); err != nil {
		t.Errorf("close the spool: %v", err)
	}
	if got := files(t, folder); !slices.Equal(got, []string{"key"}) {
		t.Errorf("files = %v, want key", got)
	}
}

// A process that was killed leaves its spools behind. The next process that opens the bucket
// next removes them, and nothing of those who still live.
func TestOpenRemovesWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	kill := startHolder(t, folder)
	first := openBucket(t, folder)
	spool := spoolOf(t, first, "alive")
	if got := files(t, folder); len(got) != 2 {
		t.Fatalf("files of two open buckets = %v, want 2", got)
	}
	kill()
	openBucket(t, folder)
	if got := files(t, folder); len(got) != 1 {
		t.Errorf("files after one process died = %v, want 1", got)
	}
	if err := first.Put(t.Context(), "key", spool, blobstore.Attributes{}); err != nil {
		t.Errorf("put what is alive: %v", err)
	}
	if got := files(t, folder); !slices.Equal(got, []string{"key"}) {
		t.Errorf("files = %v, want key", got)
	}
}

// startHolder runs a process that has a spool in folder; kill ends it at once.
func startHolder(t *testing.T, folder string) (kill func()) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], fileURL(t, folder))
	command.Env = append(os.Environ(), roleVariable+"=holder")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = input.Close()
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		t.Fatalf("output of the process = %q, %v", line, err)
	}
	return kill
}

// Between the name and the end of Put a crash leaves a file with two names.
func TestOpenAfterACrashInPut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	dead := filepath.Join(folder, ".spool", "dead")
	if err := errors.Join(
		os.MkdirAll(dead, 0o700),
		os.WriteFile(filepath.Join(dead, "1"), []byte("content"), 0o600),
		os.Link(filepath.Join(dead, "1"), filepath.Join(folder, "key")),
	); err != nil {
		t.Fatal(err)
	}
	bucket := openBucket(t, folder)
	if got := files(t, folder); !slices.Equal(got, []string{"key"}) {
		t.Errorf("files = %v, want key", got)
	}
	if err := put(t, bucket, "key", "content"); err != nil {
		t.Errorf("put again: %v", err)
	}
	if err := put(t, bucket, "key", "something else"); !errors.Is(err, blobstore.ErrConflict) {
		t.Errorf("put something else: %v", err)
	}
}

// Many processes may start on the same folder at once.
func TestOpenAtTheSameTime(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	opened := make(chan error)
	const many = 16
	for range many {
		go func() {
			bucket, err := blobstore.Open(t.Context(), fileURL(t, folder))
			if err == nil {
				err = errors.Join(put(t, bucket, "key", "content"), bucket.Close())
			}
			opened <- err
		}()
	}
	for range many {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	if got := files(t, folder); !slices.Equal(got, []string{"key"}) {
		t.Errorf("files = %v, want key", got)
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"a/b.png", "../a", "a//b", ".spool/x", "a\\b", "ü/画", "\xff", ""} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if blobstore.CheckKey(key) == nil && (!filepath.IsLocal(key) || !fs.ValidPath(key)) {
			t.Errorf("CheckKey(%q) = nil, want an error", key)
		}
	})
}

// TestFolderIsReplaced is row F9: a remount or a rename while the bucket is open.
func TestFolderIsReplaced(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ replaced bool }{
		"F9: another folder is at the path": {replaced: true},
		"F9: no folder is at the path":      {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			folder, moved := filepath.Join(parent, "images"), filepath.Join(parent, "old")
			bucket := openBucket(t, folder)
			if err := put(t, bucket, "a/first", "content"); err != nil {
				t.Fatal(err)
			}
			spool := spoolOf(t, bucket, "content")
			if err := os.Rename(folder, moved); err != nil {
				t.Fatal(err)
			}
			if row.replaced {
				if err := os.Mkdir(folder, 0o750); err != nil {
					t.Fatal(err)
				}
			}
			if err := bucket.Put(t.Context(), "a/lost", spool, blobstore.Attributes{}); err == nil {
				t.Error("Put() of a spool in the old folder = nil, want an error")
			}
			if err := spool.Close(); err != nil {
				t.Errorf("close the spool: %v", err)
			}
			if err := put(t, bucket, "a/second", "content"); err != nil {
				t.Errorf("Put() = %v, want nil", err)
			}
			if _, err := bucket.Open(t.Context(), "a/first"); !errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("Open() of an object in the old folder: error = %v, want %v", err, blobstore.ErrNotFound)
			}
			if err := bucket.Check(t.Context()); err != nil {
				t.Errorf("Check() = %v, want nil", err)
			}
			if got, want := files(t, folder), []string{"a/second"}; !slices.Equal(got, want) {
				t.Errorf("files in the folder = %v, want %v", got, want)
			}
			if got, want := files(t, moved), []string{"a/first"}; !slices.Equal(got, want) {
				t.Errorf("files in the old folder = %v, want %v", got, want)
			}
		})
	}
}

// F9: what is stored while the folder is replaced is not lost in the old one.
func TestFolderIsReplacedDuringPut(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	folder := filepath.Join(parent, "images")
	bucket := openBucket(t, folder)
	blobstore.Watch(bucket, func(call, _ string) error {
		if call == "link" {
			return os.Rename(folder, filepath.Join(parent, "old"))
		}
		return nil
	})
	if err := put(t, bucket, "key", "content"); err == nil {
		t.Error("Put() while the folder is replaced = nil, want an error")
	}
	if err := put(t, bucket, "key", "content"); err != nil {
		t.Errorf("Put() again = %v, want nil", err)
	}
	if got, want := files(t, folder), []string{"key"}; !slices.Equal(got, want) {
		t.Errorf("files in the folder = %v, want %v", got, want)
	}
}

// F9: the bucket can be closed after its folder was moved away.
func TestCloseAfterTheFolderIsReplaced(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	folder, moved := filepath.Join(parent, "images"), filepath.Join(parent, "old")
	bucket, err := blobstore.Open(t.Context(), fileURL(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	spoolOf(t, bucket, "content")
	if err := os.Rename(folder, moved); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
	if got := files(t, moved); len(got) != 0 {
		t.Errorf("files in the old folder = %v, want none", got)
	}
}

// C10: the modes are those that are set, whatever the umask, of files and of folders that are made; the default ones otherwise.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                     string
		file, folder             fs.FileMode
		wantFile, wantFolder     fs.FileMode
		withoutLinks, withoutAll bool
	}{
		{name: "C10 defaults", wantFile: 0o640, wantFolder: fs.ModeDir | 0o750},
		{name: "C10 for a web server", file: 0o644, folder: 0o755, wantFile: 0o644, wantFolder: fs.ModeDir | 0o755},
		{name: "C10 beyond the umask", file: 0o664, folder: 0o775, wantFile: 0o664, wantFolder: fs.ModeDir | 0o775},
		{name: "C10 group of the folder", file: 0o660, folder: fs.ModeSetgid | 0o770, wantFile: 0o660, wantFolder: fs.ModeDir | fs.ModeSetgid | 0o770},
		{name: "C10 for the owner alone", file: 0o600, folder: 0o700, wantFile: 0o600, wantFolder: fs.ModeDir | 0o700},
		{name: "C10 without links", file: 0o664, folder: 0o775, wantFile: 0o664, wantFolder: fs.ModeDir | 0o775, withoutLinks: true},
		{name: "C10 without renames", file: 0o664, folder: 0o775, wantFile: 0o664, wantFolder: fs.ModeDir | 0o775, withoutAll: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "images")
			bucket, err := blobstore.Open(t.Context(), "file://"+folder, blobstore.WithModes(row.file, row.folder))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = bucket.Close() })
			if row.withoutLinks {
				bucket = blobstore.WithoutLinks(bucket)
			}
			if row.withoutAll {
				bucket = blobstore.WithoutRenames(bucket)
			}
			spool, err := bucket.Spool(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := spool.Write([]byte("content")); err != nil {
				t.Fatal(err)
			}
			if err := bucket.Put(t.Context(), "a/b/c.png", spool, blobstore.Attributes{}); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]fs.FileMode{"": row.wantFolder, "a": row.wantFolder, "a/b": row.wantFolder, "a/b/c.png": row.wantFile} {
				info, err := os.Stat(filepath.Join(folder, name))
				if err != nil || info.Mode() != want {
					t.Errorf("mode of %q = %v, %v, want %v", name, info.Mode(), err, want)
				}
			}
			if err := spool.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
