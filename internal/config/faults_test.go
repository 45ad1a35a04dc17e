package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/config"
)

func TestFaults(t *testing.T) {
	token := strings.Repeat("k", 16)
	rows := []struct {
		name     string
		variable string
		value    string
		want     string // what follows the name of the variable
	}{
		{"empty", "RECEIVER_DATA_DIR", "", "is set but empty; give it a value or do not set it"},
		{"blank", "RECEIVER_DATA_DIR", " \t", "is set but empty; give it a value or do not set it"},
		{"empty secret", "RECEIVER_WEBHOOK_TOKENS", "", "is set but empty; give it a value or do not set it"},
		{"duration without unit", "RECEIVER_SHUTDOWN_TIMEOUT", "30", `is "30", and must be a duration such as 30s or 10m, from 1s to 1h`},
		{"duration too short", "RECEIVER_SHUTDOWN_TIMEOUT", "1ms", "is 1ms, and must be from 1s to 1h"},
		{"duration too long", "RECEIVER_SHUTDOWN_TIMEOUT", "61m", "is 1h1m0s, and must be from 1s to 1h"},
		{"negative duration", "RECEIVER_SHUTDOWN_TIMEOUT", "-30s", "is -30s, and must be from 1s to 1h"},
		{"size", "RECEIVER_MIN_FREE_BYTES", "lots", "is not a size such as 33554432 or 32MiB"},
		{"size too small", "RECEIVER_MIN_FREE_BYTES", "0", "is 0 B, and must be from 1MiB to 1TiB"},
		{"number", "RECEIVER_DOWNLOAD_PIXELS", "many", `is "many", and must be a whole number, from 1 to 1000000000`},
		{"number zero", "RECEIVER_DOWNLOAD_PIXELS", "0", "is 0, and must be from 1 to 1000000000"},
		{"number that overflows", "RECEIVER_DOWNLOAD_PIXELS", "99999999999999999999", `is "99999999999999999999", and must be a whole number, from 1 to 1000000000`},
		{"unsigned number", "RECEIVER_DOWNLOAD_WORKERS", "65", "is 65, and must be from 1 to 64"},
		{"fraction", "RECEIVER_DOWNLOAD_SHARE", "1.01", "is 1.01, and must be from 0 to 1"},
		{"not a number", "RECEIVER_DOWNLOAD_SHARE", "NaN", "is NaN, and must be from 0 to 1"},
		{"choice", "RECEIVER_LOG_FORMAT", "xml", `is "xml", and must be auto, console or json`},
		{"choice in capitals", "RECEIVER_LOG_LEVEL", "INFO", `is "INFO", and must be debug, info, warn or error`},
		{"boolean", "RECEIVER_FETCH_ALLOW_HTTP", "maybe", `is "maybe", and must be true or false`},
		{"list", "RECEIVER_FETCH_ALLOWED_HOSTS", "a,,b", "has an empty item"},
		{"networks", "RECEIVER_TRUSTED_PROXIES", "10.0.0.1/8", `has "10.0.0.1/8", whose address has bits outside the mask; is 10.0.0.0/8 meant?`},
		{"long value", "RECEIVER_LOG_LEVEL", strings.Repeat("x", 100), `is "` + strings.Repeat("x", 57) + `…", and must be debug, info, warn or error`},
		{"value for a terminal", "RECEIVER_LOG_LEVEL", "\x1b[2J", `is "\x1b[2J", and must be debug, info, warn or error`},

		{"listen without port", "RECEIVER_LISTEN_ADDR", "8080", `is "8080", and must be an address such as :8080 or 127.0.0.1:8080`},
		{"listen port too high", "RECEIVER_LISTEN_ADDR", ":65536", `is ":65536", and must be an address such as :8080 or 127.0.0.1:8080`},
		{"listen port by name", "RECEIVER_LISTEN_ADDR", ":http", `is ":http", and must be an address such as :8080 or 127.0.0.1:8080`},
		{"platform's port", "PORT", "many", `is "many", and must be a port number from 1 to 65535`},
		{"platform's port zero", "PORT", "0", `is "0", and must be a port number from 1 to 65535`},

		{"handler", "RECEIVER_HANDLERS", "downlod", `names "downlod", which is no handler; there is download and archive`},
		{"handler twice", "RECEIVER_HANDLERS", "download,archive,download", `names "download" twice`},
		{"variables that do not go together", "RECEIVER_DOWNLOAD_LONGEST", "1m", "must not be below TIMEOUT"},
		{"timeouts of the server", "RECEIVER_HTTP_WRITE_TIMEOUT", "10s", "must be more than HTTP_READ_TIMEOUT, or slow requests get no response"},

		{"other database", "RECEIVER_DATABASE_URL", "mysql://user:hunter2@db/x", "must be sqlite:// and a folder, such as sqlite:///var/lib/receiver, or postgres://user:password@host/database"},
		{"database without scheme", "RECEIVER_DATABASE_URL", "/var/lib/hunter2", "must be sqlite:// and a folder, such as sqlite:///var/lib/receiver, or postgres://user:password@host/database"},
		{"database without folder", "RECEIVER_DATABASE_URL", "sqlite://", "names no folder after sqlite://"},
		{"database with options", "RECEIVER_DATABASE_URL", "sqlite://x?mode=memory&hunter2", "must be sqlite:// and a folder alone, without options"},

		{"short token", "RECEIVER_WEBHOOK_TOKENS", token + ",hunter2", "has a token, number 2, that has 7 characters; it needs at least 16"},
		{"long token", "RECEIVER_WEBHOOK_TOKENS", strings.Repeat("k", 513), "has a token, number 1, that has 513 characters; it may have at most 512"},
		{"token with a space", "RECEIVER_WEBHOOK_TOKENS", "hunter2 hunter2 hunter2", "has a token, number 1, that holds a space or a character that is not plain ASCII"},
		{"token with an empty item", "RECEIVER_WEBHOOK_TOKENS", token + ",", "has an empty item"},
		{"too many tokens", "RECEIVER_WEBHOOK_TOKENS", strings.TrimSuffix(strings.Repeat(token+",", 21), ","), "has 21 tokens, and may have at most 20"},

		{"public URL by http", "RECEIVER_PUBLIC_URL", "http://hooks.example.com", "must begin with https://, because the token of every callback travels through it; http:// is for loopback only"},
		{"public URL without scheme", "RECEIVER_PUBLIC_URL", "hooks.example.com", "must be a whole URL such as https://hooks.example.com"},
		{"public URL with a user", "RECEIVER_PUBLIC_URL", "https://me:hunter2@hooks.example.com", "must be an address alone, without user, query and fragment"},
		{"public URL with a query", "RECEIVER_PUBLIC_URL", "https://hooks.example.com?hunter2", "must be an address alone, without user, query and fragment"},

		{"unknown, near to one", "RECEIVER_LISTEN_ADR", "hunter2", "is not a variable of this version; did you mean RECEIVER_LISTEN_ADDR?"},
		{"unknown, near to a handler's", "RECEIVER_ARCHIV_TIMEOUT", "hunter2", "is not a variable of this version; did you mean RECEIVER_ARCHIVE_TIMEOUT?"},
		{"unknown, half of one", "RECEIVER_LISTN", "hunter2", "is not a variable of this version; did you mean RECEIVER_LISTEN_ADDR?"},
		{"unknown, near to none", "RECEIVER_WHATEVER", "hunter2", "is not a variable of this version"},
		{"lower case", "RECEIVER_log_level", "hunter2", "is not a variable of this version"},
		{"file of what is no secret", "RECEIVER_DATA_DIR_FILE", "hunter2", "is not a variable of this version; RECEIVER_DATA_DIR is no secret and cannot be given as a file"},
		{"port like a service link", "RECEIVER_PORT", "8080", "is not a variable of this version"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := faultsOf(t, map[string]string{row.variable: row.value})
			if want := []string{row.variable + " " + row.want}; !slices.Equal(got, want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), want[0])
			}
			if strings.Contains(strings.Join(got, "\n"), "hunter2") {
				t.Error("the fault shows a secret")
			}
		})
	}
}

func TestFaultsOfPostgres(t *testing.T) {
	const (
		url, direct, tokens = "RECEIVER_DATABASE_URL", "RECEIVER_DATABASE_DIRECT_URL", "RECEIVER_WEBHOOK_TOKENS"
		unreadable          = " cannot be read as postgres://user:password@host/database with options of libpq; a password in it must be percent-encoded, files that it names must exist"
		good                = "postgres://user:hunter2@db/x"
		token               = "0123456789-0123456789"
	)
	rows := []struct {
		name string
		set  map[string]string
		want []string
	}{
		{"all is well", map[string]string{url: good, direct: good, tokens: token}, nil},
		{"other spelling", map[string]string{url: "postgresql://user:hunter2@db/x", tokens: token}, nil},
		{"no tokens", map[string]string{url: good}, []string{tokens + " must be set when the events are in Postgres, because all replicas need the same"}},
		{"wrong port", map[string]string{url: "postgres://user:hunter2@db:many/x", tokens: token}, []string{url + unreadable}},
		{"slash in the password", map[string]string{url: "postgres://user:hunter2/x@db/x", tokens: token}, []string{url + unreadable}},
		{"no such certificate", map[string]string{url: good + "?sslmode=verify-full&sslrootcert=/nowhere", tokens: token}, []string{url + unreadable}},
		{"direct URL alone", map[string]string{direct: good}, []string{direct + " goes with a DATABASE_URL that names a Postgres database"}},
		{"direct URL of another kind", map[string]string{url: good, direct: "sqlite:///hunter2", tokens: token}, []string{direct + " must be postgres://user:password@host/database"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			if row.want == nil {
				mustLoad(t, row.set)
			} else {
				got = faultsOf(t, row.set)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(row.want, "\n  "))
			}
		})
	}
}

func TestFaultsOfSecretFiles(t *testing.T) {
	const name = "RECEIVER_WEBHOOK_TOKENS_FILE"
	missing := t.TempDir() + "/missing"
	empty, large := writeFile(t, "\n\n"), writeFile(t, strings.Repeat("k", 64<<10+1))
	short, broken, folder := writeFile(t, "hunter2"), writeFile(t, "hunter2hunter2hunter2,,x"), t.TempDir()
	rows := []struct {
		name string
		path string
		want string
	}{
		{"no path", " ", "is set but empty; give it the path of a file or do not set it"},
		{"missing", missing, "cannot be read: the file " + missing + " does not exist"},
		{"folder", folder, "cannot be read: the file " + folder + ": it is a folder"},
		{"empty", empty, "cannot be read: the file " + empty + " is empty"},
		{"too large", large, "cannot be read: the file " + large + " is longer than 65536 bytes"},
		{"endless", "/dev/zero", "cannot be read: the file /dev/zero is longer than 65536 bytes"},
		{"short token", short, "has a token, number 1, that has 7 characters; it needs at least 16"},
		{"empty item", broken, `names the file "` + broken + `", which has an empty item`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := faultsOf(t, map[string]string{name: row.path})
			if want := []string{name + " " + row.want}; !slices.Equal(got, want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), want[0])
			}
		})
	}
}

func TestSecretGivenTwiceIsAFault(t *testing.T) {
	got := faultsOf(t, map[string]string{
		"RECEIVER_WEBHOOK_TOKENS":      "hunter2-hunter2-hunter2",
		"RECEIVER_WEBHOOK_TOKENS_FILE": writeFile(t, "hunter2-hunter2-hunter2"),
	})
	want := []string{"RECEIVER_WEBHOOK_TOKENS and RECEIVER_WEBHOOK_TOKENS_FILE are both set; keep one of them"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	environment(t, map[string]string{
		"RECEIVER_HANDLERS":          "archive,upload",
		"RECEIVER_ARCHIVE_TIMEOUT":   "soon",
		"RECEIVER_LOG_LEVEL":         "loud",
		"RECEIVER_WEBHOOK_TOKENS":    "short",
		"RECEIVER_INBOX_MAX_BACKLOG": "-1",
		"RECEIVER_SHUTDOWN_TIME":     "1s",
		"RECEIVER_DATA_DIR":          "",
		"PORT":                       "x",
	})
	_, err := config.Load(definitions())
	if err == nil {
		t.Fatal("no fault was found")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 8 {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
	for _, name := range []string{
		"RECEIVER_HANDLERS ", "RECEIVER_ARCHIVE_TIMEOUT ", "RECEIVER_LOG_LEVEL ", "RECEIVER_WEBHOOK_TOKENS ",
		"RECEIVER_INBOX_MAX_BACKLOG ", "RECEIVER_SHUTDOWN_TIME ", "RECEIVER_DATA_DIR ", "PORT ",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name) }) {
			t.Errorf("nothing is told of %s:\n%v", name, err)
		}
	}
}
