package main

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
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/dustin/go-humanize"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// examine tries everything, in the order in which serve needs it.
func examine(ctx context.Context, c config.Config) []finding {
	findings := []finding{{"configuration", verdictOK, fmt.Sprintf("handlers: %v", c.StepNames())}}
	folders := []string{c.DataDir}
	if !c.Database.IsPostgres() && c.DatabaseFolder() != c.DataDir {
		folders = append(folders, c.DatabaseFolder())
	}
	for _, folder := range folders {
		findings = append(findings, checkFolder(folder), checkDisk(folder, c))
	}
	findings = append(findings, checkStores(ctx, c)...)
	findings = append(findings, checkToken(c), checkAddress(ctx, c.HTTP.ListenAddr))
	findings = append(findings, checkVendor(ctx, c)...)
	findings = append(findings, checkHandlers(ctx, c)...)
	return append(findings, checkHosts(ctx, c.Fetch.AllowedHosts)...)
}

// judge makes a finding of an error, or of the text if there is none.
func judge(check, text string, err error) finding {
	if err != nil {
		return finding{check, verdictFail, err.Error()}
	}
	return finding{check, verdictOK, text}
}

// checkFolder writes a file in a folder and removes it.
func checkFolder(path string) finding {
	return judge("folder", path+" can be written", func() error {
		if err := os.MkdirAll(path, 0o750); err != nil {
			return err
		}
		file, err := os.CreateTemp(path, ".check-*")
		if err != nil {
			return err
		}
		_, err = file.WriteString("receiver check\n")
		return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
	}())
}

func checkDisk(path string, c config.Config) finding {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return finding{"disk", verdictFail, fmt.Sprintf("free room of %s: %s", path, err)}
	}
	free := stat.Bavail * uint64(stat.Bsize)
	text := fmt.Sprintf("%s is free at %s, RECEIVER_MIN_FREE_BYTES asks for %s", humanize.IBytes(free), path, c.MinFreeBytes)
	if free < uint64(c.MinFreeBytes) {
		return finding{"disk", verdictFail, text}
	}
	return finding{"disk", verdictOK, text}
}

// checkStores looks at the databases and changes nothing.
func checkStores(ctx context.Context, c config.Config) []finding {
	if !c.Database.IsPostgres() {
		return []finding{
			checkStore(ctx, filepath.Join(c.DatabaseFolder(), "inbox.db")),
			checkStore(ctx, filepath.Join(c.DatabaseFolder(), "work.db")),
		}
	}
	ctx, cancel := context.WithTimeout(ctx, serverPatience)
	defer cancel()
	text, err := database.CheckServer(ctx, c.Database, "inbox", "work", "queue")
	return []finding{judge("store", text, err)}
}

// serverPatience is how long a database server may take to answer.
const serverPatience = 10 * time.Second

// checkStore reads a store's schema beside whoever writes to it. It locks and changes nothing.
func checkStore(ctx context.Context, path string) finding {
	const check = "store"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return finding{check, verdictOK, path + " is made at the first start"}
	}
	reader, err := database.OpenSQLiteReadOnly(ctx, path)
	if err != nil {
		return finding{check, verdictFail, err.Error()}
	}
	version, err := database.Version(ctx, reader, database.SQLite, "")
	return judge(check, fmt.Sprintf("%s has schema version %d", path, version), errors.Join(err, reader.Close()))
}

func checkToken(c config.Config) finding {
	const check = "token"
	tokens, err := c.Tokens()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{check, verdictOK, "one is made at the first start and kept in " + c.TokenFile()}
	case err != nil:
		return finding{check, verdictFail, err.Error()}
	case tokens.Exposed:
		return finding{check, verdictWarn, exposedText(tokens.File)}
	case tokens.File != "":
		return finding{check, verdictOK, "kept in " + tokens.File}
	default:
		return finding{check, verdictOK, fmt.Sprintf("%d in RECEIVER_WEBHOOK_TOKENS", len(tokens.List))}
	}
}

func exposedText(file string) string {
	return "other users of this machine can read " + file + "; \"chmod 600\" keeps it secret"
}

// checkAddress listens for a moment. If the address is taken, that may be by the receiver itself.
func checkAddress(ctx context.Context, address string) finding {
	const check = "address"
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return finding{check, verdictWarn, address + " is in use: by a running receiver, or by something else"}
	case err != nil:
		return finding{check, verdictFail, err.Error()}
	}
	return judge(check, address+" can be listened on", listener.Close())
}

// checkVendor asks the vendor's API whether it takes the key, if there is one.
func checkVendor(ctx context.Context, c config.Config) []finding {
	if !c.DeepImage.Enabled() {
		return nil
	}
	client, err := deepimage.New(c.DeepImage)
	if err != nil {
		return []finding{{"deep image", verdictFail, err.Error()}}
	}
	defer client.Close() //nolint:errcheck // nothing is under way
	return []finding{judge("deep image", "the API at "+client.Host()+" takes the key", client.Check(ctx))}
}

// checker is what a handler may have to try what it needs.
type checker interface {
	Check(ctx context.Context) error
}

// checkHandlers makes every enabled handler, lets it try what it needs, and closes it.
func checkHandlers(ctx context.Context, c config.Config) []finding {
	client, err := fetch.New(c.Fetch)
	if err != nil {
		return []finding{{"fetch", verdictFail, err.Error()}}
	}
	defer client.Close() //nolint:errcheck // it has connected to nothing
	var findings []finding
	for _, h := range c.Handlers {
		for _, step := range h.Steps() {
			deps := handler.Deps{
				Step: step.Name, Fetch: client, Log: zerolog.Nop(),
				DefaultBucketURL: c.ImagesURL(), SpoolFolder: c.SpoolFolder(), Redact: event.Redact,
			}
			err := checkHandler(ctx, h, deps)
			findings = append(findings, judge("handler", step.Name+" has what it needs", err))
		}
	}
	return findings
}

func checkHandler(ctx context.Context, h config.Handler, deps handler.Deps) error {
	made, err := h.Definition.New(ctx, h.Config, deps)
	if err != nil {
		return err
	}
	if own, ok := made.(checker); ok {
		err = own.Check(ctx)
	}
	return errors.Join(err, handler.Close(made))
}
