package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFirstStartPrintsTheURLToRegister(t *testing.T) {
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
		t.Errorf("the token is in the log:\n%s", stopped.stderr)
	}

	later := start(t, folder).stop(t, syscall.SIGINT).expect(t, 0)
	if later.stdout != "" || strings.Contains(later.stderr, token) {
		t.Errorf("a later start shows the token:\n%s%s", later.stdout, later.stderr)
	}
	contains(t, "log", later.stderr, first.tokenFile())
}

func TestStartWithoutAPublicURLSaysWhatIsToBeFilledIn(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	r.stdout.await(t, `(https://YOUR-HOST/webhooks/deep-image/\S+)\n`)
}

func TestStartWithTokensMakesNone(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send").expect(t, 0)
	run(t, nil, "send", "--url", "http://"+r.address+"/webhooks/deep-image/"+knownToken).expect(t, 0)
	stopped := r.stop(t, syscall.SIGTERM).expect(t, 0)
	if _, err := os.Stat(r.tokenFile()); err == nil {
		t.Error("a token file was made")
	}
	if stopped.stdout != "" || strings.Contains(stopped.stderr, "hunter2") {
		t.Errorf("the token is shown:\n%s%s", stopped.stdout, stopped.stderr)
	}
}

func TestTokenFileThatOthersCanReadIsWarnedOf(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := start(t, folder)
	first.stop(t, syscall.SIGTERM).expect(t, 0)
	if err := os.Chmod(first.tokenFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, folder).stop(t, syscall.SIGTERM).expect(t, 0)
	contains(t, "log", r.stderr, `"level":"warn"`, "other users of this machine can read")
	check := receiver(t, call{args: []string{"check"}, folder: folder, env: []string{"RECEIVER_MIN_FREE_BYTES=1MiB"}}).expect(t, 0)
	contains(t, "check", check.stdout, "warn  token")
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
	rows := []struct {
		name string
		env  []string
		want string
	}{
		{"address in use", []string{other.listening()}, "address already in use"},
		{"data folder in use", []string{"RECEIVER_DATA_DIR=" + filepath.Join(other.folder, "data")}, "in use by another receiver"},
		{"data folder is a file", []string{"RECEIVER_DATA_DIR=" + file}, file},
		{"kept token is too short", []string{"RECEIVER_DATA_DIR=" + short}, "holds one that has 7 characters; it needs at least 16"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"RECEIVER_LISTEN_ADDR=127.0.0.1:0"}, row.env...)
			r := run(t, env, "serve").expect(t, 1)
			contains(t, "stderr", r.stderr, row.want)
			if r.stdout != "" || strings.Contains(r.stderr, "hunter2") {
				t.Errorf("a token is shown:\n%s%s", r.stdout, r.stderr)
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
