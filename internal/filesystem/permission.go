package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Explain adds to a denied permission whose file or folder it is and as whom this process runs. The error is about path, or names
// what is below it. Other errors stay as they are.
func Explain(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		path = absolute(path, failed.Path)
	}
	return &deniedError{err: err, text: ownership(path)}
}

// deniedError is a denied permission with an explanation.
type deniedError struct {
	err  error
	text string
}

func (e *deniedError) Error() string { return e.err.Error() + e.text }

func (e *deniedError) Unwrap() error { return e.err }

// absolute returns the path of name, which is in the folder unless it is absolute.
func absolute(folder, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}

// ownership describes the file at path, or the nearest folder above it that can be looked at.
func ownership(path string) string {
	info, err := os.Stat(path)
	for err != nil && path != filepath.Dir(path) {
		path = filepath.Dir(path)
		info, err = os.Stat(path)
	}
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	const text = ": %s belongs to UID %d and GID %d with mode %04o, this process runs as UID %d and GID %d; " +
		"run \"chown -R %d %s\", or start the process as UID %d"
	return fmt.Sprintf(text, path, stat.Uid, stat.Gid, info.Mode().Perm(), os.Geteuid(), os.Getegid(), os.Geteuid(), path, stat.Uid)
}
