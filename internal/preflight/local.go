package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/dustin/go-humanize"
)

// serverTimeout bounds the wait for a database server's answer.
const serverTimeout = 10 * time.Second

// checkFolders checks the data folder, and the folder of the SQLite files if that is another one.
func checkFolders(ctx context.Context, c config.Config) []Result {
	folders := []string{c.DataDir}
	if !c.Database.IsPostgres() && c.DatabaseFolder() != c.DataDir {
		folders = append(folders, c.DatabaseFolder())
	}
	var results []Result
	for _, folder := range folders {
		holdsStores := !c.Database.IsPostgres() && folder == c.DatabaseFolder()
		results = append(results, checkFolder(ctx, folder, holdsStores), checkDisk(folder, uint64(c.MinFreeBytes)))
	}
	return results
}

// checkFolder does in a folder what a receiver does there: it makes it if it is missing, and in a folder inside, which it removes again,
// it writes a file, links it under another name, syncs the folder, and writes a SQLite file if stores belong there.
func checkFolder(ctx context.Context, folder string, holdsStores bool) Result {
	const check = "folder"
	err := useFolder(ctx, folder, holdsStores)
	if errors.Is(err, filesystem.ErrNoFolderSync) {
		return Result{check, folder, Warn, folder + " is writable, but a crash of the machine can lose new files: " + err.Error()}
	}
	if sharing, findErr := filesystem.FindSharing(folder); err == nil && findErr == nil && sharing != "" {
		return Result{check, folder, Warn, sharing + "; run \"chmod go-w\" on it, for they can replace tokens and stores"}
	}
	return result(check, folder, folder+" is writable", filesystem.Explain(folder, err))
}

func useFolder(ctx context.Context, folder string, holdsStores bool) (err error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	inside, err := os.MkdirTemp(folder, ".check-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(inside)) }()
	written := filepath.Join(inside, "written")
	if err := writeFile(written); err != nil {
		return err
	}
	if err := filesystem.Name(written, filepath.Join(inside, "named")); err != nil {
		return err
	}
	if holdsStores {
		store, err := database.OpenSQLite(ctx, filepath.Join(inside, "store.db"))
		if err != nil {
			return err
		}
		if err := store.Close(); err != nil {
			return err
		}
	}
	return filesystem.SyncFolder(inside)
}

// writeFile writes and syncs a new file.
func writeFile(name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString("receiver check\n")
	return errors.Join(err, file.Sync(), file.Close())
}

// checkDisk compares the free space at path with the required number of bytes.
func checkDisk(path string, required uint64) Result {
	const check = "disk"
	space, err := filesystem.SpaceAt(path)
	switch {
	case err != nil:
		return Result{check, path, Fail, err.Error()}
	case space.NoInodes():
		return Result{check, path, Warn, "the file system of " + path + " has no inodes left: it can hold no more files"}
	case !space.Known:
		return Result{check, path, OK, "the file system of " + path + " does not count its free space"}
	}
	text := fmt.Sprintf("%s free at %s, RECEIVER_MIN_FREE_BYTES requires %s", humanize.IBytes(space.Free), path, humanize.IBytes(required))
	if space.Free < required {
		return Result{check, path, Fail, text}
	}
	return Result{check, path, OK, text}
}

// checkStores reads the schema versions of the stores. It changes nothing.
func checkStores(ctx context.Context, c config.Config) []Result {
	if !c.Database.IsPostgres() {
		return []Result{checkStore(ctx, c.InboxFile()), checkStore(ctx, c.WorkFile())}
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	text, err := database.CheckServer(ctx, c.Database, "inbox", "work", "queue")
	return []Result{result("store", "postgres", text, err)}
}

// checkStore reads the schema version of a SQLite file, without a lock: a receiver may be using it.
func checkStore(ctx context.Context, path string) Result {
	const check = "store"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Result{check, path, OK, path + " will be created at the first start"}
	}
	reader, err := database.OpenSQLiteReadOnly(ctx, path)
	if err != nil {
		return Result{check, path, Fail, err.Error()}
	}
	version, err := database.Version(ctx, reader, database.SQLite, "")
	return result(check, path, fmt.Sprintf("%s has schema version %d", path, version), errors.Join(err, reader.Close()))
}

func checkToken(c config.Config) Result {
	const check = "token"
	tokens, err := c.Tokens()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Result{check, c.TokenFile(), OK, "will be created at the first start in " + c.TokenFile()}
	case err != nil:
		return Result{check, "", Fail, err.Error()}
	case tokens.Exposed:
		return Result{check, tokens.File, Warn, "other users of this machine can read " + tokens.File + "; run \"chmod 600\" on it"}
	case tokens.File != "":
		return Result{check, tokens.File, OK, "stored in " + tokens.File}
	default:
		return Result{check, "RECEIVER_WEBHOOK_TOKENS", OK, fmt.Sprintf("%d in RECEIVER_WEBHOOK_TOKENS", len(tokens.List))}
	}
}

// checkListenAddress listens for a moment. An address in use is only a warning: the receiver itself may be running.
func checkListenAddress(ctx context.Context, address string) Result {
	const check = "address"
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return Result{check, address, Warn, address + " is in use, by a running receiver or by another program"}
	case err != nil:
		return Result{check, address, Fail, err.Error()}
	}
	return result(check, address, address+" is free", listener.Close())
}
