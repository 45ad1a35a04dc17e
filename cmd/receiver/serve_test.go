package main_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFirstStartPrintsURL(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := start(t, folder, "RECEIVER_PUBLIC_URL=https://hooks.example.com/deep/")
	local := first.stdout.await(t, `(http://127\.0\.0\.1:\d+/webhooks/deep-image/\S+)\n`)
	run(t, nil, "send", "--url", local).expect(t, 0)

	content, err := os.ReadFile(first.tokenFile())
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(content))
	stopped := first.stop(t, syscall.SIGTERM).expect(t, 0)
	contains(t, "stdout", stopped.stdout,
		"https://hooks.example.com/deep/webhooks/deep-image/"+token+"\n", "http://"+first.address+"/webhooks/deep-image/"+token+"\n",
		first.tokenFile())
	if strings.Contains(stopped.stderr, token) {
		t.Errorf("log has the token, want it redacted:\n%s", stopped.stderr)
	}

	later := start(t, folder).stop(t, syscall.SIGINT).expect(t, 0)
	if later.stdout != "" || strings.Contains(later.stderr, token) {
		t.Errorf("output of a later start has the token, want it redacted:\n%s%s", later.stdout, later.stderr)
	}
	contains(t, "log", later.stderr, first.tokenFile())
}

func TestFirstStartWithoutPublicURL(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	r.stdout.await(t, `(https://YOUR-HOST/webhooks/deep-image/\S+)\n`)
}

func TestStartWithTokensCreatesNone(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send").expect(t, 0)
	run(t, nil, "send", "--url", "http://"+r.address+"/webhooks/deep-image/"+knownToken).expect(t, 0)
	stopped := r.stop(t, syscall.SIGTERM).expect(t, 0)
	if _, err := os.Stat(r.tokenFile()); !os.IsNotExist(err) {
		t.Errorf("stat of the token file = %v, want that it does not exist", err)
	}
	if stopped.stdout != "" || strings.Contains(stopped.stderr, "hunter2") {
		t.Errorf("output has the token, want it redacted:\n%s%s", stopped.stdout, stopped.stderr)
	}
}

func TestWarningAboutReadableTokenFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := start(t, folder)
	first.stop(t, syscall.SIGTERM).expect(t, 0)
	if err := os.Chmod(first.tokenFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, folder).stop(t, syscall.SIGTERM).expect(t, 0)
	contains(t, "log", r.stderr, `"level":"warn","file":"`+first.tokenFile())
	hasResults(t, check(t, folder, 0), checkResult{Check: "token", Subject: first.tokenFile(), Status: "warn"})
}

// A slow callback delays the shutdown after the first signal.
func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	slow := dial(t, r.address)
	if _, err := io.WriteString(slow, "POST /webhooks/deep-image/"+knownToken+" HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(slow, make([]byte, len("HTTP/1.1 100 "))); err != nil { // the receiver waits for the body
		t.Fatal(err)
	}
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitClosedListener(t, r)
	r.signalUntilItEnds(t, syscall.SIGTERM)
	status, ok := r.command.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		t.Errorf("process state = %v, want it killed by the second signal", r.command.ProcessState)
	}
}

// After SIGTERM a receiver is not ready, but accepts callbacks until its delay has passed or a second signal comes.
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken, "RECEIVER_SHUTDOWN_DELAY=5m")
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.stderr.await(t, `"message":"(receiver draining)`)
	run(t, []string{r.listening()}, "healthcheck", "--ready").expect(t, 1)
	run(t, nil, "send", "--url", "http://"+r.address+"/webhooks/deep-image/"+knownToken).expect(t, 0)
	r.signalUntilItEnds(t, syscall.SIGTERM)
	if status, ok := r.command.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Errorf("process state = %v, want it killed by the second signal", r.command.ProcessState)
	}
	start(t, t.TempDir(), "RECEIVER_SHUTDOWN_DELAY=100ms").stop(t, syscall.SIGTERM).expect(t, 0)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(processTimeout)); err != nil {
		t.Fatal(err)
	}
	return connection
}

// awaitClosedListener waits until connections are refused while the process runs.
func awaitClosedListener(t *testing.T, r *running) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.address)
		if err != nil {
			return
		}
		_ = connection.Close()
		select {
		case <-look.C:
		case <-r.exited:
			t.Fatal("process ended after the first signal, want it running")
		case <-t.Context().Done():
			t.Fatal("listener accepts connections, want them refused")
		}
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	other := start(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	short := t.TempDir()
	if err := os.WriteFile(filepath.Join(short, "webhook-token"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		env  []string
		want string // in stderr
	}{
		{name: "address in use", env: []string{other.listening()}, want: other.address},
		{name: "data folder in use", env: []string{"RECEIVER_DATA_DIR=" + filepath.Join(other.folder, "data")}, want: other.folder},
		{name: "data folder is a file", env: []string{"RECEIVER_DATA_DIR=" + file}, want: file},
		{name: "stored token is too short", env: []string{"RECEIVER_DATA_DIR=" + short}, want: short},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_ADMIN_ADDR=127.0.0.1:0"}, row.env...)
			r := run(t, env, "serve").expect(t, 1)
			contains(t, "stderr", r.stderr, row.want)
			if r.stdout != "" || strings.Contains(r.stderr, "hunter2") {
				t.Errorf("output has a token, want it redacted:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("another-token-0123456789\n"+knownToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS_FILE="+file)
	for _, env := range []string{"RECEIVER_WEBHOOK_TOKENS=" + knownToken, "RECEIVER_WEBHOOK_TOKENS_FILE=" + file} {
		run(t, []string{r.listening(), env}, "send").expect(t, 0)
	}
	run(t, []string{r.listening()}, "send", "--token-file", file).expect(t, 0)
}
