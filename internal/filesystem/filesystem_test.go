package filesystem_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestName(t *testing.T) {
	t.Parallel()
	type call = func(oldname, newname string) error
	refuse := func(number syscall.Errno) call {
		return func(oldname, newname string) error {
			return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: number}
		}
	}
	for _, row := range []struct {
		name         string
		link, rename call
		want         error // with a free name
		wantTaken    error // with one that is taken
	}{
		{name: "links", link: os.Link, rename: refuse(syscall.EIO), wantTaken: fs.ErrExist},
		{name: "C7 no links", link: refuse(syscall.EPERM), rename: filesystem.RenameNew, wantTaken: fs.ErrExist},
		{name: "C7 no links, not supported", link: refuse(syscall.ENOTSUP), rename: filesystem.RenameNew, wantTaken: fs.ErrExist},
		{name: "C7 neither links nor renames", link: refuse(syscall.EPERM), rename: refuse(syscall.EINVAL), wantTaken: fs.ErrExist},
		{name: "C7 no such call", link: refuse(syscall.ENOSYS), rename: refuse(syscall.ENOSYS), wantTaken: fs.ErrExist},
		{name: "broken disk", link: refuse(syscall.EIO), rename: filesystem.RenameNew, want: syscall.EIO, wantTaken: syscall.EIO},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			written, named := filepath.Join(folder, "written"), filepath.Join(folder, "named")
			for _, wanted := range []error{row.want, row.wantTaken} {
				if err := os.WriteFile(written, []byte("content"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := filesystem.NameWith(written, named, row.link, row.rename); !errors.Is(err, wanted) {
					t.Errorf("error = %v, want %v", err, wanted)
				}
			}
			if content, err := os.ReadFile(named); row.want == nil && (err != nil || string(content) != "content") {
				t.Errorf("named = %q, %v, want the content", content, err)
			}
		})
	}
}

func TestFindSharing(t *testing.T) {
	t.Parallel()
	const foreign = 54321
	for _, row := range []struct {
		name   string
		mode   os.FileMode
		group  int // of the folder; 0 for its own
		shared bool
	}{
		{name: "D10 own", mode: 0o700},
		{name: "D10 readable", mode: 0o755},
		{name: "D10 writable for the own group", mode: 0o770},
		{name: "D10 writable for all", mode: 0o777, shared: true},
		{name: "D10 writable for others only", mode: 0o702, shared: true},
		{name: "D10 writable for all, sticky", mode: 0o777 | fs.ModeSticky, shared: true},
		{name: "D10 writable for a foreign group", mode: 0o770, group: foreign, shared: true},
		{name: "D10 readable for a foreign group", mode: 0o750, group: foreign},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if row.group != 0 {
				if err := os.Chown(folder, -1, row.group); err != nil {
					t.Skip("only root can give a folder to another group")
				}
			}
			if err := os.Chmod(folder, row.mode); err != nil {
				t.Fatal(err)
			}
			if got, err := filesystem.FindSharing(folder); err != nil || (got != "") != row.shared {
				t.Errorf("FindSharing = %q, error %v; want shared = %t", got, err, row.shared)
			}
		})
	}
}

// C7: /proc refuses to sync folders, as some network file systems do. A broken disk is another error.
func TestSyncFolder(t *testing.T) {
	t.Parallel()
	if err := filesystem.SyncFolder(t.TempDir()); err != nil {
		t.Errorf("SyncFolder() = %v, want no error", err)
	}
	if err := filesystem.SyncFolder("/proc"); !errors.Is(err, filesystem.ErrNoFolderSync) {
		t.Errorf("SyncFolder(/proc) = %v, want %v", err, filesystem.ErrNoFolderSync)
	}
	if err := filesystem.SyncFolder(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncFolder(missing) = %v, want %v", err, fs.ErrNotExist)
	}
	for number, want := range map[syscall.Errno]bool{syscall.EINVAL: true, syscall.ENOTSUP: true, syscall.EIO: false, syscall.ENOSPC: false} {
		err := filesystem.SyncOpenFolder(nil, func(*os.File) error { return number })
		if got := errors.Is(err, filesystem.ErrNoFolderSync); got != want || !errors.Is(err, number) {
			t.Errorf("SyncOpenFolder() with %v = %v, want ErrNoFolderSync: %t", number, err, want)
		}
	}
}

// C10: a denied permission names the owner and the UID of the process.
func TestExplain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, path string
		err        error
		want       string // path that is named; "" for none
	}{
		{name: "C10 folder", path: folder, err: syscall.EACCES, want: folder + " belongs"},
		{name: "C10 folder that cannot be made", path: filepath.Join(folder, "a", "b"), err: fs.ErrPermission, want: folder + " belongs"},
		{name: "C10 relative path", path: folder, err: &fs.PathError{Op: "mkdirat", Path: "sub", Err: syscall.EACCES}, want: filepath.Join(folder, "sub") + " belongs"},
		{name: "C10 absolute path", path: "/", err: &fs.PathError{Op: "open", Path: filepath.Join(folder, "sub", "x"), Err: syscall.EPERM}, want: filepath.Join(folder, "sub") + " belongs"},
		{name: "another error", path: folder, err: syscall.EIO},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := filesystem.Explain(row.path, row.err)
			if !errors.Is(got, row.err) {
				t.Errorf("error = %v, want one that wraps %v", got, row.err)
			}
			if row.want == "" {
				if got.Error() != row.err.Error() {
					t.Errorf("error = %v, want %v", got, row.err)
				}
				return
			}
			if uid := "UID " + strconv.Itoa(os.Geteuid()); !strings.Contains(got.Error(), row.want) || !strings.Contains(got.Error(), uid) {
				t.Errorf("error = %v, want %q and %q in it", got, row.want, uid)
			}
		})
	}
	if err := filesystem.Explain(folder, nil); err != nil {
		t.Errorf("Explain(nil) = %v, want nil", err)
	}
}

// F14: a folder that is made for the data survives a power loss, as what is synced in it does.
func TestMakeFolder(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		path    string
		syncing error
		want    error
		syncs   []string // without repeats
	}{
		"new":               {path: "new", syncs: []string{"", ".."}},
		"two new":           {path: "one/two", syncs: []string{"", "..", "one"}},
		"existing":          {path: "folder", syncs: []string{""}},
		"existing, no sync": {path: "folder", syncing: syscall.EACCES, syncs: []string{""}},
		"new, no sync":      {path: "new", syncing: syscall.EIO, want: syscall.EIO, syncs: []string{"", ".."}},
		"a file":            {path: "file", want: fs.ErrExist, syncs: []string{".."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(top, "folder"), 0o750), os.WriteFile(filepath.Join(top, "file"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			synced := map[string]bool{}
			err := filesystem.MakeFolderWith(filepath.Join(top, row.path), 0o750, func(path string) error {
				synced[path] = true
				return row.syncing
			})
			if !errors.Is(err, row.want) {
				t.Errorf("error = %v, want %v", err, row.want)
			}
			for _, name := range row.syncs {
				if !synced[filepath.Join(top, name)] {
					t.Errorf("synced folders = %v, want %q among them", synced, name)
				}
				delete(synced, filepath.Join(top, name))
			}
			if len(synced) > 0 {
				t.Errorf("synced folders beside = %v, want none", synced)
			}
			if info, err := os.Stat(filepath.Join(top, row.path)); row.want == nil && (err != nil || !info.IsDir()) {
				t.Errorf("folder: error = %v, want one", err)
			}
		})
	}
}
