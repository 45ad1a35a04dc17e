package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
)

func TestValidationErrors(t *testing.T) {
	token := strings.Repeat("k", 16)
	rows := []struct {
		name     string
		variable string
		value    string
		shows    string // data in the text
	}{
		{name: "empty secret", variable: "RECEIVER_WEBHOOK_TOKENS", value: ""},
		{name: "duration without unit", variable: "RECEIVER_SHUTDOWN_TIMEOUT", value: "30", shows: `"30"`},
		{name: "duration too short", variable: "RECEIVER_SHUTDOWN_TIMEOUT", value: "1ms"},
		{name: "duration too long", variable: "RECEIVER_SHUTDOWN_TIMEOUT", value: "61m"},
		{name: "negative duration", variable: "RECEIVER_SHUTDOWN_TIMEOUT", value: "-30s"},
		{name: "size", variable: "RECEIVER_MIN_FREE_BYTES", value: "lots"},
		{name: "size too small", variable: "RECEIVER_MIN_FREE_BYTES", value: "0"},
		{name: "number", variable: "RECEIVER_DOWNLOAD_PIXELS", value: "many", shows: `"many"`},
		{name: "number zero", variable: "RECEIVER_DOWNLOAD_PIXELS", value: "0"},
		{name: "number that overflows", variable: "RECEIVER_DOWNLOAD_PIXELS", value: "99999999999999999999", shows: `"99999999999999999999"`},
		{name: "unsigned number", variable: "RECEIVER_DOWNLOAD_WORKERS", value: "65"},
		{name: "fraction", variable: "RECEIVER_DOWNLOAD_SHARE", value: "1.01"},
		{name: "not a number", variable: "RECEIVER_DOWNLOAD_SHARE", value: "NaN"},
		{name: "choice", variable: "RECEIVER_LOG_FORMAT", value: "xml", shows: `"xml"`},
		{name: "choice in capitals", variable: "RECEIVER_LOG_LEVEL", value: "INFO", shows: `"INFO"`},
		{name: "boolean", variable: "RECEIVER_FETCH_ALLOW_HTTP", value: "maybe", shows: `"maybe"`},
		{name: "list", variable: "RECEIVER_FETCH_ALLOWED_HOSTS", value: "a,,b"},
		{name: "networks", variable: "RECEIVER_TRUSTED_PROXIES", value: "10.0.0.1/8", shows: "10.0.0.0/8"},
		{name: "long value", variable: "RECEIVER_LOG_LEVEL", value: strings.Repeat("x", 100), shows: strings.Repeat("x", 57) + "…"},
		{name: "value for a terminal", variable: "RECEIVER_LOG_LEVEL", value: "\x1b[2J", shows: `"\x1b[2J"`},

		{name: "listen without port", variable: "RECEIVER_LISTEN_ADDR", value: "8080", shows: `"8080"`},
		{name: "listen port too high", variable: "RECEIVER_LISTEN_ADDR", value: ":65536", shows: `":65536"`},
		{name: "listen port by name", variable: "RECEIVER_LISTEN_ADDR", value: ":http", shows: `":http"`},
		{name: "platform's port", variable: "PORT", value: "many", shows: `"many"`},
		{name: "platform's port zero", variable: "PORT", value: "0", shows: `"0"`},

		{name: "handler", variable: "RECEIVER_HANDLERS", value: "downlod", shows: `"downlod"`},
		{name: "handler twice", variable: "RECEIVER_HANDLERS", value: "download,archive,download", shows: `"download"`},
		{name: "variables that do not go together", variable: "RECEIVER_DOWNLOAD_LONGEST", value: "1m"},
		{name: "timeouts of the server", variable: "RECEIVER_HTTP_WRITE_TIMEOUT", value: "10s"},

		{name: "other database", variable: "RECEIVER_DATABASE_URL", value: "mysql://user:hunter2@db/x"},
		{name: "database without scheme", variable: "RECEIVER_DATABASE_URL", value: "/var/lib/hunter2"},
		{name: "database without folder", variable: "RECEIVER_DATABASE_URL", value: "sqlite://"},
		{name: "database with options", variable: "RECEIVER_DATABASE_URL", value: "sqlite://x?mode=memory&hunter2"},

		{name: "short token", variable: "RECEIVER_WEBHOOK_TOKENS", value: token + ",hunter2"},
		{name: "long token", variable: "RECEIVER_WEBHOOK_TOKENS", value: strings.Repeat("k", 513)},
		{name: "token with a space", variable: "RECEIVER_WEBHOOK_TOKENS", value: "hunter2 hunter2 hunter2"},
		{name: "token with an empty item", variable: "RECEIVER_WEBHOOK_TOKENS", value: token + ","},
		{name: "too many tokens", variable: "RECEIVER_WEBHOOK_TOKENS", value: strings.TrimSuffix(strings.Repeat(token+",", 21), ",")},

		{name: "public URL by http", variable: "RECEIVER_PUBLIC_URL", value: "http://hooks.example.com"},
		{name: "public URL without scheme", variable: "RECEIVER_PUBLIC_URL", value: "hooks.example.com"},
		{name: "public URL with a user", variable: "RECEIVER_PUBLIC_URL", value: "https://me:hunter2@hooks.example.com"},
		{name: "public URL with a query", variable: "RECEIVER_PUBLIC_URL", value: "https://hooks.example.com?hunter2"},

		{name: "unknown, near to one", variable: "RECEIVER_LISTEN_ADR", value: "hunter2", shows: "RECEIVER_LISTEN_ADDR"},
		{name: "unknown, near to a handler's", variable: "RECEIVER_ARCHIV_TIMEOUT", value: "hunter2", shows: "RECEIVER_ARCHIVE_TIMEOUT"},
		{name: "unknown, half of one", variable: "RECEIVER_LISTN", value: "hunter2", shows: "RECEIVER_LISTEN_ADDR"},
		{name: "unknown, near to none", variable: "RECEIVER_WHATEVER", value: "hunter2"},
		{name: "lower case", variable: "RECEIVER_log_level", value: "hunter2"},
		{name: "file of what is no secret", variable: "RECEIVER_DATA_DIR_FILE", value: "hunter2", shows: "RECEIVER_DATA_DIR"},
		{name: "port like a service link", variable: "RECEIVER_PORT", value: "8080"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			checkErrors(t, map[string]string{row.variable: row.value}, row.shows, row.variable)
		})
	}
}

// checkErrors loads an environment and wants exactly one error for each of the variables, in this order, with shows in the
// first one and no secret in any.
func checkErrors(t *testing.T, set map[string]string, shows string, variables ...string) {
	t.Helper()
	got := errorsOf(t, set)
	var names []string
	for _, one := range got {
		names = append(names, one.Variable)
		if strings.Contains(one.Text, "hunter2") {
			t.Errorf("error of %s = %q, want no secret in it", one.Variable, one.Text)
		}
	}
	if !slices.Equal(names, variables) {
		t.Errorf("variables with errors = %v, want %v", got, variables)
	}
	if len(got) > 0 && !strings.Contains(got[0].Text, shows) {
		t.Errorf("error = %q, want %q in it", got[0].Text, shows)
	}
}

func TestErrorsOfPostgres(t *testing.T) {
	const (
		url, direct, tokens = "RECEIVER_DATABASE_URL", "RECEIVER_DATABASE_DIRECT_URL", "RECEIVER_WEBHOOK_TOKENS"
		good                = "postgres://user:hunter2@db/x"
		token               = "0123456789-0123456789"
	)
	rows := []struct {
		name string
		set  map[string]string
		want []string // variables with errors
	}{
		{name: "valid", set: map[string]string{url: good, direct: good, tokens: token}},
		{name: "other spelling", set: map[string]string{url: "postgresql://user:hunter2@db/x", tokens: token}},
		{name: "no tokens", set: map[string]string{url: good}, want: []string{tokens}},
		{name: "wrong port", set: map[string]string{url: "postgres://user:hunter2@db:many/x", tokens: token}, want: []string{url}},
		{name: "slash in the password", set: map[string]string{url: "postgres://user:hunter2/x@db/x", tokens: token}, want: []string{url}},
		{name: "no such certificate", set: map[string]string{url: good + "?sslmode=verify-full&sslrootcert=/nowhere", tokens: token}, want: []string{url}},
		{name: "direct URL alone", set: map[string]string{direct: good}, want: []string{direct}},
		{name: "direct URL of another kind", set: map[string]string{url: good, direct: "sqlite:///hunter2", tokens: token}, want: []string{direct}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { checkErrors(t, row.set, "", row.want...) })
	}
}

func TestErrorsOfSecretFiles(t *testing.T) {
	const name = "RECEIVER_WEBHOOK_TOKENS_FILE"
	missing := t.TempDir() + "/missing"
	empty, large := writeFile(t, "\n\n"), writeFile(t, strings.Repeat("k", 64<<10+1))
	short, broken, folder := writeFile(t, "hunter2"), writeFile(t, "hunter2hunter2hunter2,,x"), t.TempDir()
	quoted := writeFile(t, "'hunter2hunter2hunter2'\n")
	rows := []struct{ name, path, shows string }{
		{name: "no path", path: " "},
		{name: "missing", path: missing, shows: missing},
		{name: "folder", path: folder, shows: folder},
		{name: "empty", path: empty, shows: empty},
		{name: "too large", path: large, shows: large},
		{name: "endless", path: "/dev/zero", shows: "/dev/zero"},
		{name: "short token", path: short},
		{name: "empty item", path: broken, shows: broken},
		{name: "content in quotation marks", path: quoted, shows: quoted},
		{name: "path in quotation marks", path: `"` + short + `"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { checkErrors(t, map[string]string{name: row.path}, row.shows, name) })
	}
}

func TestSecretGivenTwice(t *testing.T) {
	const name = "RECEIVER_WEBHOOK_TOKENS"
	checkErrors(t, map[string]string{name: "hunter2-hunter2-hunter2", name + "_FILE": writeFile(t, "hunter2-hunter2-hunter2")}, name+"_FILE", name)
}

// TestQuotedValues is fault A5. It sets every variable to a value in quotation marks.
func TestQuotedValues(t *testing.T) {
	environment(t, nil)
	for _, v := range config.Table(definitions()) {
		for _, mark := range []string{`"`, "'"} {
			t.Run(v.Name+mark, func(t *testing.T) {
				set := map[string]string{"RECEIVER_HANDLERS": "download,archive", v.Name: mark + "hunter2" + mark}
				errs := errorsOf(t, set)
				if !slices.ContainsFunc(errs, func(e config.ValidationError) bool { return e.Variable == v.Name && e.Text == config.QuotedText }) {
					t.Errorf("errors = %v, want one about the quotation marks of %s", errs, v.Name)
				}
			})
		}
	}
}

// TestEmptyValues is fault A12. It sets every variable to an empty and to a blank value.
func TestEmptyValues(t *testing.T) {
	environment(t, nil)
	strict := []string{"RECEIVER_ALLOWED_SOURCE_CIDRS", "RECEIVER_TRUSTED_PROXIES", "RECEIVER_FETCH_ALLOWED_HOSTS", "RECEIVER_FETCH_ALLOWED_CIDRS"}
	for _, v := range config.Table(definitions()) {
		for _, value := range []string{"", " \t"} {
			t.Run(v.Name+"="+value, func(t *testing.T) {
				set := map[string]string{"RECEIVER_HANDLERS": "download,archive"}
				set[v.Name] = value
				if v.Secret || slices.Contains(strict, v.Name) {
					checkErrors(t, set, "", v.Name)
					return
				}
				checkErrors(t, set, "")
				if got := row(t, v.Name); got.Value != v.Default {
					t.Errorf("value = %q, want the default %q", got.Value, v.Default)
				}
			})
		}
	}
}

func TestEmptyVariableHasItsDefault(t *testing.T) {
	c := mustLoad(t, map[string]string{
		"RECEIVER_SHUTDOWN_TIMEOUT": "", "RECEIVER_LOG_LEVEL": " ", "RECEIVER_LISTEN_ADDR": "", "PORT": "9000", "RECEIVER_DOWNLOAD_WORKERS": "",
	})
	if c.ShutdownTimeout != 30*time.Second || c.Log.Level != "info" || c.HTTP.ListenAddr != ":9000" {
		t.Errorf("got %s, %s, %s, want 30s, info, :9000", c.ShutdownTimeout, c.Log.Level, c.HTTP.ListenAddr)
	}
	if archive, ok := c.Handlers[0].Config.(*archiveConfig); !ok || archive.Workers != 8 {
		t.Errorf("handler = %+v, want 8 workers", c.Handlers[0].Config)
	}
}

func TestAllErrorsAreReported(t *testing.T) {
	environment(t, map[string]string{
		"RECEIVER_HANDLERS":          "archive,upload",
		"RECEIVER_ARCHIVE_TIMEOUT":   "soon",
		"RECEIVER_LOG_LEVEL":         "loud",
		"RECEIVER_WEBHOOK_TOKENS":    "short",
		"RECEIVER_INBOX_MAX_BACKLOG": "-1",
		"RECEIVER_SHUTDOWN_TIME":     "1s",
		"RECEIVER_FETCH_ALLOW_HTTP":  "perhaps",
		"PORT":                       "x",
	})
	_, err := config.Load(definitions())
	if err == nil {
		t.Fatal("Load() = no error, want 8")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 8 {
		t.Errorf("lines = %d, want 8:\n%v", len(lines), err)
	}
	for _, name := range []string{
		"RECEIVER_HANDLERS ", "RECEIVER_ARCHIVE_TIMEOUT ", "RECEIVER_LOG_LEVEL ", "RECEIVER_WEBHOOK_TOKENS ",
		"RECEIVER_INBOX_MAX_BACKLOG ", "RECEIVER_SHUTDOWN_TIME ", "RECEIVER_FETCH_ALLOW_HTTP ", "PORT ",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name) }) {
			t.Errorf("error = %v, want a line for %s", err, name)
		}
	}
}
