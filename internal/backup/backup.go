// Package backup copies the SQLite files of a running receiver, puts a copy back, and verifies the stores of a receiver.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/filesystem"
)

// Names in the folder of a backup.
const (
	workName     = "work.db"
	inboxName    = "inbox.db"
	tokenName    = "webhook-token"
	manifestName = "backup.json"
)

// Files are the paths of what a backup holds.
type Files struct {
	Inbox, Work string
	Token       string // of the generated webhook token; the file may be missing
}

// Manifest describes a backup. It is written last: a folder without it is not a backup.
type Manifest struct {
	Version string    `json:"version"` // of the program that wrote it
	Created time.Time `json:"created"`
	Files   []File    `json:"files"`
}

// File is a file of a backup.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

var (
	// ErrNotEmpty reports a folder that has files already.
	ErrNotEmpty = errors.New("backup: the folder is not empty")
	// ErrNoBackup reports a folder that is not a whole backup.
	ErrNoBackup = errors.New("backup: not a whole backup")
	// ErrExists reports a receiver that has stores already.
	ErrExists = errors.New("backup: the receiver has stores already; move its database files away first")
)

// Save copies the files of a receiver into a folder, which must be empty or missing. The receiver may run. The inbox is copied
// last: an event that is accepted or relayed meanwhile is then in the inbox, and the receiver that starts on the copy relays it
// again.
func Save(ctx context.Context, from Files, folder, version string) (Manifest, error) {
	manifest := Manifest{Version: version, Created: time.Now().UTC().Truncate(time.Second)}
	if err := makeEmpty(folder); err != nil {
		return manifest, err
	}
	for _, f := range []struct{ name, path string }{{workName, from.Work}, {inboxName, from.Inbox}} {
		if _, err := os.Stat(f.path); err != nil { // a source is never created
			return manifest, fmt.Errorf("backup: %w", err)
		}
		if err := database.CopySQLite(ctx, f.path, filepath.Join(folder, f.name)); err != nil {
			return manifest, err
		}
	}
	if err := copyFile(ctx, from.Token, filepath.Join(folder, tokenName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return manifest, err
	}
	for _, name := range []string{workName, inboxName, tokenName} {
		file, err := describe(ctx, filepath.Join(folder, name))
		switch {
		case name == tokenName && errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return manifest, err
		default:
			manifest.Files = append(manifest.Files, file)
		}
	}
	return manifest, writeManifest(folder, manifest)
}

// Restore puts a backup back where no stores are. It can be repeated after an interruption. The inbox gets its name last.
func Restore(ctx context.Context, folder string, to Files) (Manifest, error) {
	manifest, err := readManifest(folder)
	if err != nil {
		return manifest, err
	}
	if err := errors.Join(compare(ctx, folder, manifest), noStores(to)); err != nil {
		return manifest, err
	}
	targets := []struct{ name, path string }{{inboxName, to.Inbox}, {workName, to.Work}}
	for _, t := range targets {
		if err := os.Remove(t.path + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return manifest, fmt.Errorf("backup: %w", err)
		}
		if err := copyFile(ctx, filepath.Join(folder, t.name), t.path+unfinished); err != nil {
			return manifest, err
		}
	}
	if err := copyFile(ctx, filepath.Join(folder, tokenName), to.Token); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return manifest, err
	}
	for _, path := range []string{to.Work, to.Inbox} {
		if err := os.Rename(path+unfinished, path); err != nil {
			return manifest, fmt.Errorf("backup: %w", err)
		}
		if err := filesystem.TrySyncFolder(filepath.Dir(path)); err != nil {
			return manifest, fmt.Errorf("backup: %w", err)
		}
	}
	return manifest, nil
}

// unfinished is the suffix of files that Restore has not given their names yet.
const unfinished = ".restore"

// compare compares the files of a backup with its manifest.
func compare(ctx context.Context, folder string, manifest Manifest) error {
	for _, file := range manifest.Files {
		found, err := describe(ctx, filepath.Join(folder, file.Name))
		if err != nil {
			return err
		}
		if found != file {
			return fmt.Errorf("%w: %s has other bytes than %s says", ErrNoBackup, file.Name, manifestName)
		}
	}
	return nil
}

// noStores returns ErrExists where databases are, unless they are those of an interrupted Restore.
func noStores(to Files) error {
	paths := []string{to.Inbox, to.Inbox + "-wal", to.Work + "-wal"}
	if _, err := os.Stat(to.Inbox + unfinished); err != nil {
		paths = append(paths, to.Work)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("%w: %s", ErrExists, path)
		}
	}
	return nil
}

func makeEmpty(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w: %s", ErrNotEmpty, folder)
	}
	return nil
}

// describe returns size and SHA-256 of a file that it syncs.
func describe(ctx context.Context, path string) (File, error) {
	file, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("backup: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read from
	hash := sha256.New()
	n, err := io.Copy(hash, &contextReader{ctx, file})
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return File{}, fmt.Errorf("backup: %s: %w", path, err)
	}
	return File{Name: filepath.Base(path), Bytes: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}

// copyFile copies a file to a path that does not exist, for its owner alone, and syncs it. An incomplete copy is removed.
func copyFile(ctx context.Context, from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer source.Close() //nolint:errcheck // only read from
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	_, err = io.Copy(target, &contextReader{ctx, source})
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return errors.Join(fmt.Errorf("backup: %s: %w", to, err), os.Remove(to))
	}
	return nil
}

func writeManifest(folder string, manifest Manifest) error {
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	path := filepath.Join(folder, manifestName)
	file, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		err = errors.Join(filesystem.TrySyncFolder(folder), filesystem.TrySyncFolder(filepath.Dir(folder)))
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// maxManifestBytes bounds the manifest that is read.
const maxManifestBytes = 64 << 10

// readManifest reads the manifest of a whole backup.
func readManifest(folder string) (manifest Manifest, err error) {
	file, err := os.Open(filepath.Join(folder, manifestName))
	if err != nil {
		return manifest, fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	defer file.Close() //nolint:errcheck // only read from
	if err := json.NewDecoder(io.LimitReader(file, maxManifestBytes)).Decode(&manifest); err != nil {
		return manifest, fmt.Errorf("%w: %s: %w", ErrNoBackup, manifestName, err)
	}
	names := map[string]bool{}
	for _, f := range manifest.Files {
		if f.Name != workName && f.Name != inboxName && f.Name != tokenName {
			return manifest, fmt.Errorf("%w: %s names the file %q", ErrNoBackup, manifestName, f.Name)
		}
		names[f.Name] = true
	}
	if !names[workName] || !names[inboxName] {
		return manifest, fmt.Errorf("%w: %s does not name both databases", ErrNoBackup, manifestName)
	}
	return manifest, nil
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx context.Context //nolint:containedctx // of one copy
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
