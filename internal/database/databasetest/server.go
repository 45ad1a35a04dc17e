package databasetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a private Postgres server that listens on a socket in its own folder. It syncs commits. It ends with Close or
// with this process, however that ends.
type Server struct {
	folder   string
	binaries string
	account  *account // that runs the server; nil for that of this process
	settings []string // "name=value", in addition to those of every server
	watch    io.Closer
	process  *exec.Cmd
}

const (
	startTimeout = 30 * time.Second
	superuser    = "receiver"
)

// StartServer starts a new, empty server and waits until it accepts connections. settings are those of
// postgresql.conf, each "name=value".
func StartServer(ctx context.Context, settings ...string) (*Server, error) {
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "receiver-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, binaries: binaries, account: account, settings: settings}
	if err := errors.Join(s.account.own(folder), s.initialise(ctx)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) initialise(ctx context.Context) error {
	//nolint:gosec // the installed program, with constants
	command := exec.CommandContext(ctx, filepath.Join(s.binaries, "initdb"), "--pgdata", s.data(),
		"--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	command.Dir = s.folder
	command.SysProcAttr = s.account.attributes()
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// watcher starts the server and waits for the end of its own input, which comes when this process closes it or
// ends. Then it stops the server, and removes the folder unless it has read "keep".
const watcher = `"$@" & server=$!
read -r word
kill -s $STOP $server
wait $server
if [ "$word" != keep ]; then cd / && rm -rf "$FOLDER"; fi`

// Start starts the server in its folder, also after Kill, and waits until it accepts connections.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	arguments := []string{"-c", watcher, "sh", filepath.Join(s.binaries, "postgres"), "-D", s.data()}
	for _, setting := range append([]string{
		"listen_addresses=", "unix_socket_directories=" + s.folder, "max_connections=400", "shared_buffers=64MB",
	}, s.settings...) {
		arguments = append(arguments, "-c", setting)
	}
	s.process = exec.Command("/bin/sh", arguments...) //nolint:gosec,noctx // it ends when its input ends
	s.process.Dir, s.process.Env = s.folder, append(os.Environ(), "FOLDER="+s.folder, "STOP=QUIT")
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = s.account.attributes()
	if s.watch, err = s.process.StdinPipe(); err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	timer := time.NewTicker(10 * time.Millisecond)
	defer timer.Stop()
	for {
		connection, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return connection.Close(ctx)
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			return fmt.Errorf("%w: %s", err, log)
		case <-timer.C:
		}
	}
}

// Kill ends the server as a crash does. Its data stay.
func (s *Server) Kill() error {
	if _, err := io.WriteString(s.watch.(io.Writer), "keep\n"); err != nil { //nolint:forcetypeassert // it is a pipe
		return err
	}
	return s.end()
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	if s.process == nil || s.process.Process == nil {
		return os.RemoveAll(s.folder)
	}
	return s.end()
}

func (s *Server) end() error {
	err := errors.Join(s.watch.Close(), s.process.Wait())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return nil // a signal ended it
	}
	return err
}

// URL returns the address of a database of the server.
func (s *Server) URL(database string) string {
	query := url.Values{"host": {s.folder}, "port": {s.port()}}
	return (&url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Set changes settings for the next Start.
func (s *Server) Set(settings ...string) { s.settings = append(s.settings, settings...) }

// AddFile writes a file that only the server can read, and returns its path.
func (s *Server) AddFile(name string, content []byte) (string, error) {
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", err
	}
	return path, s.account.own(path)
}

// port returns the port, which is also part of the name of the socket.
func (s *Server) port() string {
	for _, setting := range s.settings {
		if port, ok := strings.CutPrefix(setting, "port="); ok {
			return port
		}
	}
	return "5432"
}

// findBinaries returns the folder of the server's programs: on the PATH, or where Debian installs them, the newest first.
func findBinaries() (folder string, err error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	const newest, oldest = 30, 13
	for version := newest; version >= oldest; version-- {
		folder := "/usr/lib/postgresql/" + strconv.Itoa(version) + "/bin"
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("no initdb on the PATH or in /usr/lib/postgresql")
}
