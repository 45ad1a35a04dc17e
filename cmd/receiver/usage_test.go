package main_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func commands() []string {
	return []string{"serve", "demo", "send", "check", "env", "events", "rejections", "targets", "submit", "jobs", "migrate", "healthcheck", "version"}
}

func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	for _, name := range commands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, nil, name, "--help").expect(t, 0)
			contains(t, "help", r.stdout, "Usage:\n  receiver "+name, "Examples:\n  receiver "+name)
			if r.stderr != "" {
				t.Errorf("stderr = %q, want none", r.stderr)
			}
		})
	}
	contains(t, "help", run(t, nil, "--help").expect(t, 0).stdout, commands()...)
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		args string
		want []string // names in stderr
	}{
		{name: "command", args: "serv", want: []string{`"serv"`, "serve"}},
		{name: "E12 subcommand", args: "events lst", want: []string{`"lst"`, "list"}},
		{name: "subcommand that is like none", args: "jobs frobnicate", want: []string{`"frobnicate"`}},
		{name: "E12 subcommand of a command that runs", args: "migrate cpy", want: []string{`"cpy"`, "copy"}},
		{name: "E12 help of a command", args: "help srve", want: []string{`"srve"`, "serve"}},
		{name: "E12 help of a subcommand", args: "help events lst", want: []string{`"lst"`, "list"}},
		{name: "E12 shell", args: "completion tcsh", want: []string{`"tcsh"`, "zsh"}},
		{name: "flag", args: "serve --fast", want: []string{"--fast"}},
		{name: "flag of another command", args: "version --repeat 2", want: []string{"--repeat"}},
		{name: "argument", args: "serve now", want: []string{`"now"`}},
		{name: "flag without its value", args: "send --job", want: []string{"--job"}},
		{name: "malformed number", args: "send --repeat many", want: []string{"--repeat", `"many"`}},
		{name: "number too small", args: "send --repeat 0", want: []string{"--repeat", "1", "10000"}},
		{name: "number too large", args: "send --repeat 10001", want: []string{"--repeat", "1", "10000"}},
		{name: "time too long", args: "send --timeout 2h", want: []string{"--timeout", "1ms", "1h"}},
		{name: "flags that exclude each other", args: "env --json --markdown", want: []string{"json", "markdown"}},
		{name: "body with a part of it", args: "send --body - --job 1", want: []string{"--body", "--job"}},
		{name: "two files from standard input", args: "send --data - --results -", want: []string{"--data", "--results"}},
		{name: "missing file", args: "send --data missing.json", want: []string{"--data", "missing.json"}},
		{name: "file that is not JSON", args: "send --data /dev/null", want: []string{"--data", "/dev/null"}},
		{name: "missing token file", args: "send --token-file missing", want: []string{"--token-file", "missing"}},
		{name: "no token", args: "send", want: []string{"--token-file"}},
		{name: "URL without scheme", args: "send --url localhost:8080", want: []string{"--url"}},
		{name: "URL of another scheme", args: "send --url ftp://localhost", want: []string{"--url"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, nil, strings.Fields(row.args)...).expect(t, 2)
			contains(t, "stderr", r.stderr, append(row.want, "receiver: ", `"receiver`)...)
			if r.stdout != "" {
				t.Errorf("stdout = %q, want none", r.stdout)
			}
		})
	}
}

// Help is not wrong usage.
func TestHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"": "receiver [command]", "events": "receiver events [command]", "help": "receiver [command]", "help events list": "receiver events list",
		"completion": "receiver completion [command]", "completion bash --help": "receiver completion bash",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			contains(t, "stdout", run(t, nil, strings.Fields(args)...).expect(t, 0).stdout, want)
		})
	}
}

func TestHelpLinesAreShort(t *testing.T) {
	t.Parallel()
	for _, name := range append(commands(), "events list", "events replay", "events release", "events purge", "rejections accept", "jobs track", "targets enable", "migrate copy") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := run(t, nil, append(strings.Fields(name), "--help")...).expect(t, 0).stdout
			for line := range strings.Lines(text) {
				if got := len(strings.TrimSpace(line)); got > 140 && !strings.Contains(line, "(default ") {
					t.Errorf("line %q has %d characters, want at most 140", line, got)
				}
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
			if got := strings.Count(r.stderr, "\n  RECEIVER_"); got != len(env) {
				t.Errorf("reported variables = %d, want %d:\n%s", got, len(env), r.stderr)
			}
			contains(t, "stderr", r.stderr, "RECEIVER_WEBHOOK_TOKENS", "RECEIVER_LOG_LEVEL", "RECEIVER_SHUTDOWN_TIMEOUT", "RECEIVER_DATABASE_URL",
				"RECEIVER_DOWNLOAD_TIMEOUT", "RECEIVER_HANDLERS", "RECEIVER_LISTEN_ADRR", "RECEIVER_LISTEN_ADDR", "receiver env")
			if strings.Contains(r.stdout+r.stderr, "hunter2") {
				t.Errorf("output holds a secret, want none:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
}

func TestOneFaultIsOne(t *testing.T) {
	t.Parallel()
	r := run(t, []string{"RECEIVER_LOG_LEVEL=loud"}, "check").expect(t, 2)
	if got := strings.Count(r.stderr, "\n  RECEIVER_"); got != 1 {
		t.Errorf("reported variables = %d, want 1:\n%s", got, r.stderr)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	text := run(t, nil, "version").expect(t, 0)
	contains(t, "version", text.stdout, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	var build map[string]string
	if err := json.Unmarshal([]byte(run(t, nil, "version", "--json").expect(t, 0).stdout), &build); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"version", "commit", "date", "go", "platform"} {
		if build[key] == "" || !strings.Contains(text.stdout, build[key]) {
			t.Errorf("%s = %q as JSON, want it also in the text\n%s", key, build[key], text.stdout)
		}
	}
	contains(t, "version", run(t, nil, "--version").expect(t, 0).stdout, build["version"])
}
