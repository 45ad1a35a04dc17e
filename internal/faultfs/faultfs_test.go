//go:build linux && torture

package faultfs_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/faultfs"
	"github.com/google/go-cmp/cmp"
)

// mount mounts a folder with one file until the test ends.
func mount(t *testing.T) (m *faultfs.Mount, point string) {
	t.Helper()
	folder, point := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := faultfs.Open(folder, point)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, point
}

// write writes a file, and syncs it and its folder as asked.
func write(t *testing.T, path, content string, syncFile, syncFolder bool) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(content)
	if err == nil && syncFile {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	if syncFolder {
		sync(t, filepath.Dir(path))
	}
}

func sync(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestPowerLossDropsWhatIsNotSynced(t *testing.T) {
	t.Parallel()
	m, point := mount(t)
	write(t, filepath.Join(point, "whole"), "whole", true, true)
	write(t, filepath.Join(point, "no content"), "text", false, true)
	write(t, filepath.Join(point, "old"), "new, longer", false, true)
	write(t, filepath.Join(point, "no name"), "text", true, false)
	for _, err := range []error{
		os.Mkdir(filepath.Join(point, "folder"), 0o750),
		os.Link(filepath.Join(point, "whole"), filepath.Join(point, "folder", "link")),
		os.Rename(filepath.Join(point, "whole"), filepath.Join(point, "renamed")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sync(t, filepath.Join(point, "folder"))
	m.Cut()
	if err := os.WriteFile(filepath.Join(point, "late"), nil, 0o600); !errors.Is(err, syscall.EIO) {
		t.Errorf("write after the cut: error = %v, want %v", err, syscall.EIO)
	}
	for name, row := range map[string]struct {
		keep bool
		want map[string]string
	}{
		"none": {want: map[string]string{"old": "old", "whole": "whole", "no content": ""}},
		"all": {keep: true, want: map[string]string{
			"old": "new, longer", "renamed": "whole", "folder/link": "whole", "no content": "text", "no name": "text",
		}},
	} {
		folder := t.TempDir()
		if err := m.Recover(folder, func() bool { return row.keep }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, contents(t, folder)); diff != "" {
			t.Errorf("%s: files differ (-want +got):\n%s", name, diff)
		}
	}
}

// contents returns the content of every file below folder.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for path := range maps.Keys(tree(t, folder)) {
		content, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(content)
	}
	return found
}

func tree(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(folder, path)
			found[filepath.ToSlash(name)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFaults(t *testing.T) {
	t.Parallel()
	m, point := mount(t)
	old, folder := filepath.Join(point, "old"), filepath.Join(point, "folder")
	for name, row := range map[string]struct {
		call faultfs.Call
		path string
		do   func() error
	}{
		"create":      {faultfs.Create, "new", func() error { return os.WriteFile(filepath.Join(point, "new"), nil, 0o600) }},
		"folder":      {faultfs.Create, "folder", func() error { return os.Mkdir(folder, 0o750) }},
		"write":       {faultfs.Write, "old", func() error { return os.WriteFile(old, []byte("text"), 0o600) }},
		"link":        {faultfs.Link, "link", func() error { return os.Link(old, filepath.Join(point, "link")) }},
		"rename":      {faultfs.Rename, "old", func() error { return os.Rename(old, filepath.Join(point, "renamed")) }},
		"remove":      {faultfs.Remove, "old", func() error { return os.Remove(old) }},
		"sync":        {faultfs.Sync, "old", func() error { return syncError(old) }},
		"sync folder": {faultfs.Sync, "", func() error { return syncError(point) }},
	} {
		m.Fail(func(call faultfs.Call, path string) syscall.Errno {
			if call == row.call && path == row.path {
				return syscall.ENOSPC
			}
			return 0
		})
		if err := row.do(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: error = %v, want %v", name, err, syscall.ENOSPC)
		}
	}
	m.Fail(nil)
	if err := os.WriteFile(old, []byte("text"), 0o600); err != nil {
		t.Errorf("without a fault: error = %v, want none", err)
	}
}

func syncError(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
