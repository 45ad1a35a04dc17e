package config_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

func TestDefaults(t *testing.T) {
	c := mustLoad(t, nil)
	folder, err := filepath.Abs("data")
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != folder || c.DatabaseFolder() != folder {
		t.Errorf("folders = %s and %s, want %s", c.DataDir, c.DatabaseFolder(), folder)
	}
	if c.HTTP.ListenAddr != ":8080" || c.ShutdownTimeout != 30*time.Second || c.MinFreeBytes != 256<<20 {
		t.Errorf("got %s, %s, %s, want :8080, 30s, 256 MiB", c.HTTP.ListenAddr, c.ShutdownTimeout, c.MinFreeBytes)
	}
	if c.Log.Level != "info" || c.Log.Format != "auto" || len(c.WebhookTokens) != 0 || c.PublicURL != "" {
		t.Errorf("got %s, %s, %d tokens, %q, want info, auto, none, none", c.Log.Level, c.Log.Format, len(c.WebhookTokens), c.PublicURL)
	}
	if !slices.Contains(c.Fetch.AllowedHosts, "*.deep-image.ai") {
		t.Errorf("allowed hosts = %q, want *.deep-image.ai in them", c.Fetch.AllowedHosts)
	}
	if len(c.Handlers) != 1 || c.Handlers[0].Definition.Name != "download" {
		t.Errorf("handlers = %v, want download", c.HandlerNames)
	}
}

func TestEveryTypeIsRead(t *testing.T) {
	c := mustLoad(t, map[string]string{
		"RECEIVER_HANDLERS":        "archive, download",
		"RECEIVER_ARCHIVE_FOLDER":  "x, y",
		"RECEIVER_ARCHIVE_MODE":    "link",
		"RECEIVER_ARCHIVE_KEY":     "hidden",
		"RECEIVER_ARCHIVE_BYTES":   "2KiB",
		"RECEIVER_ARCHIVE_PIXELS":  "7",
		"RECEIVER_ARCHIVE_SHARE":   "0.25",
		"RECEIVER_ARCHIVE_WORKERS": "64",
		"RECEIVER_ARCHIVE_STRICT":  "false",
		"RECEIVER_ARCHIVE_TIMEOUT": "1s",
		"RECEIVER_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
		"RECEIVER_LOG_LEVEL":       "debug",
	})
	got, ok := c.Handlers[0].Config.(*archiveConfig)
	if !ok {
		t.Fatalf("configuration = %T, want *archiveConfig", c.Handlers[0].Config)
	}
	if got.Key.Reveal() != "hidden" {
		t.Error("the secret differs, want that of the environment")
	}
	want := archiveConfig{
		Folder: "x, y", Mode: "link", Key: got.Key, Bytes: 2048, Pixels: 7, Share: 0.25, Workers: 64,
		Strict: false, Timeout: time.Second, Longest: time.Hour,
	}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if len(c.HTTP.TrustedProxies) != 2 || c.Log.Level != "debug" {
		t.Errorf("got %v, %s, want 2 networks and debug", c.HTTP.TrustedProxies, c.Log.Level)
	}
	second, _ := c.Handlers[1].Config.(*archiveConfig)
	if second == nil || second.Folder != `a "quoted" | folder` || second.Bytes != configtypes.Size(1<<30) {
		t.Errorf("other handler = %+v, want its defaults", second)
	}
}

func TestNamesWithoutThePrefixAreIgnored(t *testing.T) {
	t.Setenv("LEVEL", "loud")
	t.Setenv("DATA_DIR", "/elsewhere")
	t.Setenv("HANDLERS", "archive")
	t.Setenv("ARCHIVE_TIMEOUT", "forever")
	t.Setenv("LOG_LEVEL", "debug")
	t.Setenv("TIMEOUT", "10")
	c := mustLoad(t, map[string]string{"RECEIVER_HANDLERS": "archive"})
	if c.DataDir == "/elsewhere" || c.Log.Level != "info" || c.Handlers[0].Definition.Name != "archive" {
		t.Errorf("got %s, %s, %s, want only variables with the prefix", c.DataDir, c.Log.Level, c.Handlers[0].Definition.Name)
	}
}

func TestListenAddr(t *testing.T) {
	rows := []struct {
		name string
		set  map[string]string
		want string
	}{
		{name: "neither", want: ":8080"},
		{name: "PORT alone", set: map[string]string{"PORT": "9000"}, want: ":9000"},
		{name: "PORT empty", set: map[string]string{"PORT": ""}, want: ":8080"},
		{name: "our own alone", set: map[string]string{"RECEIVER_LISTEN_ADDR": "127.0.0.1:0"}, want: "127.0.0.1:0"},
		{name: "our own wins", set: map[string]string{"RECEIVER_LISTEN_ADDR": ":7000", "PORT": "9000"}, want: ":7000"},
		{name: "our own wins over a wrong PORT", set: map[string]string{"RECEIVER_LISTEN_ADDR": ":7000", "PORT": "many"}, want: ":7000"},
		{name: "IPv6", set: map[string]string{"RECEIVER_LISTEN_ADDR": "[::1]:80"}, want: "[::1]:80"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if c := mustLoad(t, row.set); c.HTTP.ListenAddr != row.want {
				t.Errorf("got %q, want %q", c.HTTP.ListenAddr, row.want)
			}
		})
	}
}

// TestIdleTimeoutOfProxies is fault A7: the receiver closes an idle connection after the proxy before it has done so. Of the usual
// proxies Google's load balancers keep connections longest, for 600 s.
func TestIdleTimeoutOfProxies(t *testing.T) {
	if c := mustLoad(t, nil); c.HTTP.IdleTimeout <= 600*time.Second {
		t.Errorf("idle timeout = %s, want more than 10m", c.HTTP.IdleTimeout)
	}
}

func TestDatabaseFolder(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{
		"sqlite:///var/lib/receiver": "/var/lib/receiver",
		"sqlite://store":             filepath.Join(here, "store"),
		"sqlite://./a b/../c":        filepath.Join(here, "c"),
	}
	for text, want := range rows {
		t.Run(text, func(t *testing.T) {
			if got := mustLoad(t, map[string]string{"RECEIVER_DATABASE_URL": text}).DatabaseFolder(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestSecretsFromFiles(t *testing.T) {
	rows := []struct {
		name    string
		content string
		want    []string
	}{
		{name: "one", content: "first-token-0123456789", want: []string{"first-token-0123456789"}},
		{name: "line end dropped", content: "first-token-0123456789\r\n\n", want: []string{"first-token-0123456789"}},
		{name: "one on a line", content: "first-token-0123456789\nsecond-token-0123456789\n", want: []string{"first-token-0123456789", "second-token-0123456789"}},
		{name: "commas", content: "first-token-0123456789, second-token-0123456789", want: []string{"first-token-0123456789", "second-token-0123456789"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := mustLoad(t, map[string]string{"RECEIVER_WEBHOOK_TOKENS_FILE": writeFile(t, row.content)})
			var got []string
			for _, token := range c.WebhookTokens {
				got = append(got, token.Reveal())
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestPublicURLHasNoSlashAtItsEnd(t *testing.T) {
	c := mustLoad(t, map[string]string{"RECEIVER_PUBLIC_URL": "https://hooks.example.com/deep/"})
	if c.PublicURL != "https://hooks.example.com/deep" {
		t.Errorf("PublicURL = %s, want it without the final slash", c.PublicURL)
	}
}

func TestContact(t *testing.T) {
	for _, row := range []struct{ name, public, contact, want string }{
		{name: "B4 host of the public URL", public: "https://hooks.example.com/deep/", want: "https://hooks.example.com"},
		{name: "B4 own contact", public: "https://hooks.example.com", contact: "ops@example.com", want: "ops@example.com"},
		{name: "B4 neither"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := mustLoad(t, map[string]string{"RECEIVER_PUBLIC_URL": row.public, "RECEIVER_FETCH_CONTACT": row.contact})
			if c.Fetch.Contact != row.want {
				t.Errorf("contact = %q, want %q", c.Fetch.Contact, row.want)
			}
		})
	}
}

func TestServiceLinksOfKubernetesAreAccepted(t *testing.T) {
	mustLoad(t, map[string]string{
		"RECEIVER_SERVICE_HOST":                "10.96.0.7",
		"RECEIVER_SERVICE_PORT":                "8080",
		"RECEIVER_SERVICE_PORT_HTTP":           "8080",
		"RECEIVER_PORT":                        "tcp://10.96.0.7:8080",
		"RECEIVER_PORT_8080_TCP":               "tcp://10.96.0.7:8080",
		"RECEIVER_PORT_8080_TCP_PROTO":         "tcp",
		"RECEIVER_PORT_8080_TCP_PORT":          "8080",
		"RECEIVER_PORT_8080_TCP_ADDR":          "10.96.0.7",
		"RECEIVER_ADMIN_SERVICE_HOST":          "fd00::7",
		"RECEIVER_ADMIN_PORT_8081_TCP_ADDR":    "fd00::7",
		"RECEIVER_ADMIN_SERVICE_PORT_HTTP_TWO": "8081",
	})
}

func TestDisabledHandlersAreNotValidated(t *testing.T) {
	c := mustLoad(t, map[string]string{"RECEIVER_ARCHIVE_TIMEOUT": "forever"})
	if len(c.Handlers) != 1 {
		t.Errorf("enabled handlers = %d, want 1", len(c.Handlers))
	}
}

func TestValidVariablesAreLoadedWithErrors(t *testing.T) {
	environment(t, map[string]string{"RECEIVER_LISTEN_ADDR": ":7000", "RECEIVER_LOG_LEVEL": "loud"})
	c, err := config.Load(definitions())
	if err == nil || c.HTTP.ListenAddr != ":7000" {
		t.Errorf("Load() = %q, %v, want :7000 and an error", c.HTTP.ListenAddr, err)
	}
}
