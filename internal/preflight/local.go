package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// serverTimeout bounds the wait for a database server's answer.
const serverTimeout = 10 * time.Second

// checkFolders checks the data folder, and the folder of the SQLite files if that is another one.
func checkFolders(c config.Config) []Result {
	folders := []string{c.DataDir}
	if !c.Database.IsPostgres() && c.DatabaseFolder() != c.DataDir {
		folders = append(folders, c.DatabaseFolder())
	}
	var results []Result
	for _, folder := range folders {
		results = append(results, result("folder", folder, folder+" is writable", writeFile(folder)), checkDisk(folder, uint64(c.MinFreeBytes)))
	}
	return results
}

// writeFile creates the folder if it is missing, writes a file in it and removes the file.
func writeFile(folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".check-*")
	if err != nil {
		return err
	}
	_, err = file.WriteString("receiver check\n")
	return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}

// checkDisk compares the free space at path with the required number of bytes.
func checkDisk(path string, required uint64) Result {
	const check = "disk"
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Result{check, path, Fail, fmt.Sprintf("read the free space of %s: %s", path, err)}
	}
	free := stat.Bavail * uint64(stat.Bsize)
	text := fmt.Sprintf("%s free at %s, RECEIVER_MIN_FREE_BYTES requires %s", humanize.IBytes(free), path, humanize.IBytes(required))
	if free < required {
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
