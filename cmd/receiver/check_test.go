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

// checkResult is one result of "check --json"; tests leave the text out.
type checkResult struct{ Check, Subject, Status string }

// check runs "check --json" with the exit code that is wanted.
func check(t *testing.T, folder string, code int, env ...string) []checkResult {
	t.Helper()
	env = append([]string{"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_MIN_FREE_BYTES=1MiB", "RECEIVER_FETCH_ALLOWED_HOSTS=127.0.0.1"}, env...)
	got := receiver(t, call{args: []string{"check", "--json"}, folder: folder, env: env}).expect(t, code)
	var results []checkResult
	if err := json.Unmarshal([]byte(got.stdout), &results); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("output holds a secret, want none:\n%s%s", got.stdout, got.stderr)
	}
	return results
}

// hasResults reports every wanted result that is missing.
func hasResults(t *testing.T, got []checkResult, want ...checkResult) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("results = %+v, want %+v among them", got, w)
		}
	}
}

func TestCheckBeforeFirstStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	hasResults(t, check(t, folder, 0),
		checkResult{Check: "configuration", Status: "ok"},
		checkResult{Check: "folder", Subject: data, Status: "ok"},
		checkResult{Check: "disk", Subject: data, Status: "ok"},
		checkResult{Check: "store", Subject: filepath.Join(data, "inbox.db"), Status: "ok"},
		checkResult{Check: "store", Subject: filepath.Join(data, "work.db"), Status: "ok"},
		checkResult{Check: "token", Subject: filepath.Join(data, "webhook-token"), Status: "ok"},
		checkResult{Check: "address", Subject: "127.0.0.1:0", Status: "ok"},
		checkResult{Check: "handler", Subject: "download", Status: "ok"},
		checkResult{Check: "host", Subject: "127.0.0.1", Status: "ok"},
	)
	for _, name := range []string{"inbox.db", "work.db", "webhook-token"} {
		if _, err := os.Stat(filepath.Join(data, name)); !os.IsNotExist(err) {
			t.Errorf("after check, stat %s = %v, want that it does not exist", name, err)
		}
	}
}

func TestCheckWhileReceiverRunsAndAfter(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	inbox := checkResult{Check: "store", Subject: filepath.Join(r.folder, "data", "inbox.db"), Status: "ok"}
	work := checkResult{Check: "store", Subject: filepath.Join(r.folder, "data", "work.db"), Status: "ok"}
	hasResults(t, check(t, r.folder, 0, r.listening()), inbox, work,
		checkResult{Check: "token", Subject: r.tokenFile(), Status: "ok"},
		checkResult{Check: "address", Subject: r.address, Status: "warn"},
	)
	run(t, nil, "send", "--url", "http://"+r.address, "--token-file", r.tokenFile()).expect(t, 0)
	r.stop(t, syscall.SIGTERM).expect(t, 0)

	hasResults(t, check(t, r.folder, 0), inbox, work)
}

// The check asks the running receiver which address it sees, and claims another one.
func TestCheckPublicURL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		env     []string
		stopped bool
		status  string
	}{
		{name: "E15 claimed address is not believed", status: "ok"},
		{name: "E15 claimed address is believed", env: []string{"RECEIVER_TRUSTED_PROXIES=127.0.0.1"}, status: "warn"},
		{name: "E15 no receiver answers", stopped: true, status: "warn"},
		{name: "E15 source is not allowed", env: []string{"RECEIVER_ALLOWED_SOURCE_CIDRS=192.0.2.0/28"}, status: "warn"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, t.TempDir(), row.env...)
			if row.stopped {
				r.stop(t, syscall.SIGTERM).expect(t, 0)
			}
			public := "http://" + r.address
			hasResults(t, check(t, r.folder, 0, "RECEIVER_PUBLIC_URL="+public), checkResult{Check: "public url", Subject: public, Status: row.status})
			if !row.stopped {
				rejected := receiver(t, call{args: []string{"rejections", "list", "--url", "http://" + r.admin}, folder: r.folder}).expect(t, 0)
				if strings.Contains(rejected.stdout, "malformed") {
					t.Errorf("rejections = %s, want none of the probe", rejected.stdout)
				}
			}
		})
	}
}

func TestCheckStatus(t *testing.T) {
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
	for _, row := range []struct {
		name, variable string
		code           int
		want           checkResult
	}{
		{
			name: "data folder is a file", variable: "RECEIVER_DATA_DIR=" + file,
			code: 1, want: checkResult{Check: "folder", Subject: file, Status: "fail"},
		},
		{
			name: "store is not a database", variable: "RECEIVER_DATABASE_URL=sqlite://" + broken,
			code: 1, want: checkResult{Check: "store", Subject: filepath.Join(broken, "inbox.db"), Status: "fail"},
		},
		{
			name: "token is too short", variable: "RECEIVER_DATA_DIR=" + short,
			code: 1, want: checkResult{Check: "token", Status: "fail"},
		},
		{
			name: "address of another machine", variable: "RECEIVER_LISTEN_ADDR=192.0.2.1:80",
			code: 1, want: checkResult{Check: "address", Subject: "192.0.2.1:80", Status: "fail"},
		},
		{
			name: "host pattern is malformed", variable: "RECEIVER_FETCH_ALLOWED_HOSTS=a/b",
			code: 1, want: checkResult{Check: "fetch", Status: "fail"},
		},
		{
			name: "bucket is a file", variable: "RECEIVER_DOWNLOAD_BUCKET_URL=file://" + file,
			code: 1, want: checkResult{Check: "handler", Subject: "download", Status: "fail"},
		},
		{
			name: "host does not resolve", variable: "RECEIVER_FETCH_ALLOWED_HOSTS=nowhere.invalid",
			code: 0, want: checkResult{Check: "host", Subject: "nowhere.invalid", Status: "warn"},
		},
		{
			name: "any host", variable: "RECEIVER_FETCH_ALLOWED_HOSTS=*",
			code: 0, want: checkResult{Check: "host", Subject: "*", Status: "warn"},
		},
		{
			name: "subdomains", variable: "RECEIVER_FETCH_ALLOWED_HOSTS=*.example.com",
			code: 0, want: checkResult{Check: "host", Subject: "*.example.com", Status: "ok"},
		},
		{
			name: "tokens of the environment", variable: "RECEIVER_WEBHOOK_TOKENS=" + knownToken + ",x" + knownToken,
			code: 0, want: checkResult{Check: "token", Subject: "RECEIVER_WEBHOOK_TOKENS", Status: "ok"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			hasResults(t, check(t, t.TempDir(), row.code, row.variable), row.want)
		})
	}
}

func TestCheckTriesObjectStore(t *testing.T) {
	t.Parallel()
	service, err := blobstoretest.S3()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	bucket := "RECEIVER_DOWNLOAD_BUCKET_URL=" + blobstoretest.S3URL(server.URL, "results")
	for _, row := range []struct {
		name, bucket string
		code         int
		status       string
	}{
		{name: "reachable", bucket: bucket, code: 0, status: "ok"},
		{name: "connection refused", bucket: strings.Replace(bucket, url.QueryEscape(server.URL), "http://127.0.0.1:1", 1), code: 1, status: "fail"},
		{name: "no such bucket", bucket: strings.Replace(bucket, "//images", "//nowhere", 1), code: 1, status: "fail"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			results := check(t, folder, row.code, "AWS_ACCESS_KEY_ID=me", "AWS_SECRET_ACCESS_KEY=hunter2", row.bucket)
			hasResults(t, results, checkResult{Check: "handler", Subject: "download", Status: row.status})
			left, err := filepath.Glob(filepath.Join(folder, "data", "spool", ".spool", "*", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("spooled files = %v, error %v, want none", left, err)
			}
		})
	}
}

// The bound is set above what is free, so the disk of every machine is too full for it.
func TestCheckFindsFullDisk(t *testing.T) {
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
	hasResults(t, check(t, folder, code, "RECEIVER_MIN_FREE_BYTES=1TiB"),
		checkResult{Check: "disk", Subject: filepath.Join(folder, "data"), Status: want})
}

func TestCheckAsText(t *testing.T) {
	t.Parallel()
	env := []string{"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_MIN_FREE_BYTES=1MiB", "RECEIVER_FETCH_ALLOWED_HOSTS=*"}
	good := run(t, env, "check").expect(t, 0)
	contains(t, "check", good.stdout, "ok    configuration  ", "\nok    folder         ", "\nwarn  host           ")
	bad := run(t, append(env, "RECEIVER_LISTEN_ADDR=192.0.2.1:80"), "check").expect(t, 1)
	contains(t, "check", bad.stdout, "\nfail  address        ")
}
