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
	"slices"
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

func (m Manifest) has(name string) bool {
	return slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name })
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
	// ErrOtherToken reports a receiver that has generated another webhook token than that of the backup.
	ErrOtherToken = errors.New("backup: the receiver has another webhook token already; move its file away first")
)

// Save copies the files of a receiver into a folder, which must be empty or missing. The receiver may run. The inbox is copied
// last: an event that is accepted or relayed meanwhile is then in the inbox, and the receiver that starts on the copy relays it
// again. If Save fails it removes what it has copied, which may have filled the disk of the receiver.
func Save(ctx context.Context, from Files, folder, version string) (manifest Manifest, err error) {
	if err := makeEmpty(folder); err != nil {
		return manifest, err
	}
	var made []string // the first one is new, so that no other backup in this folder loses files
	defer func() {
		if err != nil {
			err = errors.Join(err, removeAll(made))
		}
	}()
	manifest = Manifest{Version: version, Created: time.Now().UTC().Truncate(time.Second)}
	for _, f := range []struct {
		name, path string
		copy       func(ctx context.Context, from, to string) error
	}{{workName, from.Work, copyDatabase}, {inboxName, from.Inbox, copyDatabase}, {tokenName, from.Token, copyFile}} {
		path := filepath.Join(folder, f.name)
		err := f.copy(ctx, f.path, path)
		if f.name == tokenName && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return manifest, err
		}
		made = append(made, path)
	}
	for _, path := range made {
		file, err := describe(ctx, path)
		if err != nil {
			return manifest, err
		}
		manifest.Files = append(manifest.Files, file)
	}
	path := filepath.Join(folder, manifestName)
	made = append(made, path, path+".tmp")
	return manifest, writeManifest(folder, manifest)
}

// copyDatabase copies a SQLite file, which it does not create.
func copyDatabase(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return database.CopySQLite(ctx, from, to)
}

// removeAll removes the files of a backup that failed.
func removeAll(paths []string) error {
	var failures []error
	for _, path := range paths {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// Restore puts a backup back where no stores are. It can be repeated after an interruption. The inbox gets its name last.
func Restore(ctx context.Context, folder string, to Files) (Manifest, error) {
	manifest, err := readManifest(folder)
	if err != nil {
		return manifest, err
	}
	if err := errors.Join(compare(ctx, folder, manifest), noStores(to), noOtherToken(ctx, manifest, to.Token)); err != nil {
		return manifest, err
	}
	paths := map[string]string{inboxName: to.Inbox, workName: to.Work, tokenName: to.Token}
	for _, file := range manifest.Files {
		if err := copyUnfinished(ctx, filepath.Join(folder, file.Name), paths[file.Name]); err != nil {
			return manifest, err
		}
	}
	for _, name := range []string{tokenName, workName, inboxName} {
		if name == tokenName && !manifest.has(tokenName) {
			continue
		}
		if err := finish(paths[name]); err != nil {
			return manifest, err
		}
	}
	return manifest, nil
}

// copyUnfinished copies a file beside the path that it is to have, in place of what an interrupted Restore has left there.
func copyUnfinished(ctx context.Context, from, path string) error {
	if err := os.Remove(path + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("backup: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil { // the token may be in another folder than the databases
		return fmt.Errorf("backup: %w", err)
	}
	return copyFile(ctx, from, path+unfinished)
}

// finish renames a copied file to the path that it is to have.
func finish(path string) error {
	err := os.Rename(path+unfinished, path)
	if err == nil {
		err = filesystem.TrySyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
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

// noOtherToken returns ErrOtherToken where a token is that a Restore would replace by another one.
func noOtherToken(ctx context.Context, manifest Manifest, path string) error {
	found, err := describe(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, file := range manifest.Files {
		if file.Name == tokenName && file.SHA256 != found.SHA256 {
			return fmt.Errorf("%w: %s", ErrOtherToken, path)
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
	for _, f := range manifest.Files {
		if f.Name != workName && f.Name != inboxName && f.Name != tokenName {
			return manifest, fmt.Errorf("%w: %s names the file %q", ErrNoBackup, manifestName, f.Name)
		}
	}
	if !manifest.has(workName) || !manifest.has(inboxName) {
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
