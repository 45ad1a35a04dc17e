package main_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func commands() []string {
	return []string{"serve", "demo", "send", "check", "env", "events", "targets", "submit", "jobs", "migrate", "healthcheck", "version"}
}

func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	for _, name := range commands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, nil, name, "--help").expect(t, 0)
			contains(t, "help", r.stdout, "Usage:\n  receiver "+name, "Examples:\n  receiver "+name)
			if r.stderr != "" {
				t.Errorf("stderr has %s", r.stderr)
			}
		})
	}
	contains(t, "help", run(t, nil, "--help").expect(t, 0).stdout, commands()...)
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		args string
		want string
	}{
		{"command", "serv", `unknown command "serv"`},
		{"flag", "serve --fast", "unknown flag: --fast"},
		{"flag of another command", "version --repeat 2", "unknown flag: --repeat"},
		{"argument", "serve now", `unknown command "now" for "receiver serve"`},
		{"flag without its value", "send --job", "flag needs an argument: --job"},
		{"number that is none", "send --repeat many", `invalid argument "many"`},
		{"number too small", "send --repeat 0", "--repeat must be from 1 to 10000"},
		{"number too large", "send --repeat 10001", "--repeat must be from 1 to 10000"},
		{"time too long", "send --timeout 2h", "--timeout must be from 1ms to 1h"},
		{"flags that exclude each other", "env --json --markdown", "none of the others can be"},
		{"body beside a part of it", "send --body - --job 1", "so --job has no place beside it"},
		{"two files from standard input", "send --data - --results -", "only one of --data and --results can be standard input"},
		{"file that is missing", "send --data missing.json", "missing.json: no such file"},
		{"file that is no JSON", "send --data /dev/null", "/dev/null holds no JSON"},
		{"token file that is missing", "send --token-file missing", "the file missing does not exist"},
		{"no token", "send", "there is no token"},
		{"URL without scheme", "send --url localhost:8080", "--url must be a whole URL"},
		{"URL of another kind", "send --url ftp://localhost", "--url must be a whole URL"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, nil, strings.Fields(row.args)...).expect(t, 2)
			contains(t, "stderr", r.stderr, "receiver: ", row.want, `See "receiver`)
			if r.stdout != "" {
				t.Errorf("stdout has %s", r.stdout)
			}
		})
	}
}

func TestWrongConfigurationStopsEveryCommandThatNeedsIt(t *testing.T) {
	t.Parallel()
	env := []string{
		"RECEIVER_WEBHOOK_TOKENS=hunter2", "RECEIVER_LOG_LEVEL=loud", "RECEIVER_SHUTDOWN_TIMEOUT=0s",
		"RECEIVER_DATABASE_URL=postgres://me:hunter2@db:many/x", "RECEIVER_LISTEN_ADRR=:1", "RECEIVER_DOWNLOAD_TIMEOUT=hunter",
		"RECEIVER_HANDLERS=download,upload",
	}
	for _, name := range []string{"serve", "check", "migrate", "env"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, env, name).expect(t, 2)
			contains(t, "stderr", r.stderr,
				"the configuration has 7 faults",
				"RECEIVER_WEBHOOK_TOKENS has a token, number 1, that has 7 characters",
				`RECEIVER_LOG_LEVEL is "loud"`, "RECEIVER_SHUTDOWN_TIMEOUT is 0s", "RECEIVER_DATABASE_URL cannot be read",
				`RECEIVER_DOWNLOAD_TIMEOUT is "hunter"`, `RECEIVER_HANDLERS names "upload"`, "did you mean RECEIVER_LISTEN_ADDR?",
				`"receiver env" lists every variable.`)
			if strings.Contains(r.stdout+r.stderr, "hunter2") {
				t.Errorf("a secret is shown:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
}

func TestOneFaultIsOne(t *testing.T) {
	t.Parallel()
	r := run(t, []string{"RECEIVER_LOG_LEVEL=loud"}, "check").expect(t, 2)
	contains(t, "stderr", r.stderr, "the configuration has 1 fault\n")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	text := run(t, nil, "version").expect(t, 0)
	contains(t, "version", text.stdout, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	var said map[string]string
	if err := json.Unmarshal([]byte(run(t, nil, "version", "--json").expect(t, 0).stdout), &said); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"version", "commit", "date", "go", "platform"} {
		if said[key] == "" || !strings.Contains(text.stdout, said[key]) {
			t.Errorf("%s is %q as JSON, but as text there is\n%s", key, said[key], text.stdout)
		}
	}
	contains(t, "version", run(t, nil, "--version").expect(t, 0).stdout, said["version"])
}
