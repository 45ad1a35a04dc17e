package main_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

// checkLine is a line of "check --json".
type checkLine struct{ Check, Verdict, Text string }

func check(t *testing.T, folder string, code int, env ...string) []checkLine {
	t.Helper()
	env = append([]string{"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_MIN_FREE_BYTES=1MiB", "RECEIVER_FETCH_ALLOWED_HOSTS=127.0.0.1"}, env...)
	got := receiver(t, call{args: []string{"check", "--json"}, folder: folder, env: env}).expect(t, code)
	var lines []checkLine
	if err := json.Unmarshal([]byte(got.stdout), &lines); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("a secret is shown:\n%s%s", got.stdout, got.stderr)
	}
	return lines
}

// find checks that there is a line of this check, verdict and part of a text.
func find(t *testing.T, lines []checkLine, check, verdict, text string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(l checkLine) bool {
		return l.Check == check && l.Verdict == verdict && strings.Contains(l.Text, text)
	}) {
		t.Errorf("no %s of %s with %q in %+v", verdict, check, text, lines)
	}
}

func TestCheckBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	lines := check(t, folder, 0)
	find(t, lines, "configuration", "ok", "download")
	find(t, lines, "folder", "ok", filepath.Join(folder, "data"))
	find(t, lines, "disk", "ok", "free")
	find(t, lines, "store", "ok", "inbox.db is made at the first start")
	find(t, lines, "store", "ok", "work.db is made at the first start")
	find(t, lines, "token", "ok", "made at the first start")
	find(t, lines, "address", "ok", "can be listened on")
	find(t, lines, "handler", "ok", "download")
	find(t, lines, "host", "ok", "127.0.0.1")
	for _, name := range []string{"inbox.db", "work.db", "webhook-token"} {
		if _, err := os.Stat(filepath.Join(folder, "data", name)); err == nil {
			t.Errorf("check made %s", name)
		}
	}
}

func TestCheckBesideARunningReceiverAndAfterIt(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	lines := check(t, r.folder, 0, r.listening())
	find(t, lines, "store", "ok", "inbox.db has schema version ")
	find(t, lines, "store", "ok", "work.db has schema version ")
	find(t, lines, "token", "ok", "kept in "+r.tokenFile())
	find(t, lines, "address", "warn", "in use")
	run(t, nil, "send", "--url", "http://"+r.address, "--token-file", r.tokenFile()).expect(t, 0)
	r.stop(t, syscall.SIGTERM).expect(t, 0)

	find(t, check(t, r.folder, 0), "store", "ok", "inbox.db has schema version ")
}

func TestCheckFinds(t *testing.T) {
	t.Parallel()
	broken, short := t.TempDir(), t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	for path, content := range map[string]string{
		file: "", filepath.Join(broken, "inbox.db"): strings.Repeat("no database ", 100), filepath.Join(short, "webhook-token"): "hunter2",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := []struct {
		name, variable       string
		code                 int
		check, verdict, text string
	}{
		{"folder that is a file", "RECEIVER_DATA_DIR=" + file, 1, "folder", "fail", "not a directory"},
		{"database that is none", "RECEIVER_DATABASE_URL=sqlite://" + broken, 1, "store", "fail", "not a database"},
		{"token that is too short", "RECEIVER_DATA_DIR=" + short, 1, "token", "fail", "has 7 characters"},
		{"address of another machine", "RECEIVER_LISTEN_ADDR=192.0.2.1:80", 1, "address", "fail", "cannot assign requested address"},
		{"host pattern that is none", "RECEIVER_FETCH_ALLOWED_HOSTS=a/b", 1, "fetch", "fail", "a/b"},
		{"bucket that cannot be", "RECEIVER_DOWNLOAD_BUCKET_URL=file://" + file, 1, "handler", "fail", file},
		{"host that is not found", "RECEIVER_FETCH_ALLOWED_HOSTS=nowhere.invalid", 0, "host", "warn", "nowhere.invalid is not found"},
		{"any host", "RECEIVER_FETCH_ALLOWED_HOSTS=*", 0, "host", "warn", "any public host"},
		{"hosts below one", "RECEIVER_FETCH_ALLOWED_HOSTS=*.example.com", 0, "host", "ok", "below example.com"},
		{"tokens of the environment", "RECEIVER_WEBHOOK_TOKENS=" + knownToken + ",x" + knownToken, 0, "token", "ok", "2 in RECEIVER_WEBHOOK_TOKENS"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			find(t, check(t, t.TempDir(), row.code, row.variable), row.check, row.verdict, row.text)
		})
	}
}

func TestCheckTriesAnObjectStore(t *testing.T) {
	t.Parallel()
	service, err := blobstoretest.S3()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service)
	defer server.Close()
	credentials := []string{"AWS_ACCESS_KEY_ID=me", "AWS_SECRET_ACCESS_KEY=hunter2"}
	bucket := "RECEIVER_DOWNLOAD_BUCKET_URL=" + blobstoretest.S3URL(server.URL, "results")
	folder := t.TempDir()
	find(t, check(t, folder, 0, append(credentials, bucket)...), "handler", "ok", "download")
	if left, err := filepath.Glob(filepath.Join(folder, "data", "spool", ".spool", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	away := strings.Replace(bucket, url.QueryEscape(server.URL), "http://127.0.0.1:1", 1)
	find(t, check(t, t.TempDir(), 1, append(credentials, away)...), "handler", "fail", "refused")
	none := strings.Replace(bucket, "//images", "//nowhere", 1)
	find(t, check(t, t.TempDir(), 1, append(credentials, none)...), "handler", "fail", "nowhere cannot be used")
}

// The bound is set above what is free, so the disk of every machine is too full for it.
func TestCheckFindsAFullDisk(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		t.Fatal(err)
	}
	want, code := "ok", 0
	if free := stat.Bavail * uint64(stat.Bsize); free < 1<<40 {
		want, code = "fail", 1
	}
	find(t, check(t, folder, code, "RECEIVER_MIN_FREE_BYTES=1TiB"), "disk", want, "RECEIVER_MIN_FREE_BYTES asks for 1.0 TiB")
}

func TestCheckForPeople(t *testing.T) {
	t.Parallel()
	env := []string{"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_MIN_FREE_BYTES=1MiB", "RECEIVER_FETCH_ALLOWED_HOSTS=*"}
	good := run(t, env, "check").expect(t, 0)
	contains(t, "check", good.stdout, "ok    configuration  ", "\nok    folder         ", "\nwarn  host           ")
	bad := run(t, append(env, "RECEIVER_LISTEN_ADDR=192.0.2.1:80"), "check").expect(t, 1)
	contains(t, "check", bad.stdout, "\nfail  address        ")
	contains(t, "stderr", bad.stderr, "receiver: serve would not work\n")
}
