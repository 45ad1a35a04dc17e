package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// archiveConfig has a variable of every type that a handler may use.
type archiveConfig struct {
	Folder  string           `envconfig:"FOLDER" default:"a \"quoted\" | folder" desc:"folder"`
	Mode    string           `envconfig:"MODE" default:"move" range:"copy|move|link" desc:"mode"`
	Key     secret.Value     `envconfig:"KEY" desc:"key"`
	Bytes   configtypes.Size `envconfig:"BYTES" default:"1GiB" range:"1KiB..64GiB" desc:"bytes"`
	Pixels  int64            `envconfig:"PIXELS" default:"500000000" range:"1..1000000000" desc:"pixels"`
	Share   float64          `envconfig:"SHARE" default:"0.5" range:"0..1" desc:"share"`
	Workers uint             `envconfig:"WORKERS" default:"8" range:"1..64" desc:"workers"`
	Strict  bool             `envconfig:"STRICT" default:"true" desc:"strict"`

	Timeout time.Duration `envconfig:"TIMEOUT" default:"10m" range:"1s..1h" desc:"timeout"`
	Longest time.Duration `envconfig:"LONGEST" default:"1h" range:"1s..2h" desc:"longest"`
}

// KeepsImages is true by default.
func (c *archiveConfig) KeepsImages() bool { return c.Strict }

func (c *archiveConfig) Limits() handler.Limits { return handler.Limits{Timeout: c.Timeout} }

func (c *archiveConfig) Validate() error {
	if c.Longest < c.Timeout {
		return &configtypes.Conflict{Name: "LONGEST", Text: "must not be below TIMEOUT"}
	}
	return nil
}

type nothing struct{}

func (nothing) Handle(context.Context, event.Event) (handler.Outcome, error) {
	return handler.Outcome{}, nil
}

func newNothing(context.Context, archiveConfig, handler.Deps) (nothing, error) { return nothing{}, nil }

// definitions are two handlers; only the first is enabled by default.
func definitions() []handler.Definition {
	return []handler.Definition{handler.Define("download", newNothing), handler.Define("archive", newNothing)}
}

// environment sets exactly these of our variables during a test.
func environment(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, assignment := range os.Environ() {
		name, _, _ := strings.Cut(assignment, "=")
		if name == "PORT" || strings.HasPrefix(name, "RECEIVER_") {
			t.Setenv(name, "") // restores it after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// mustLoad loads a valid environment.
func mustLoad(t *testing.T, variables map[string]string) config.Config {
	t.Helper()
	environment(t, variables)
	c, err := config.Load(definitions())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// errorsOf loads an environment and returns its errors.
func errorsOf(t *testing.T, variables map[string]string) []config.ValidationError {
	t.Helper()
	environment(t, variables)
	_, err := config.Load(definitions())
	if err == nil {
		return nil
	}
	var errs *config.ValidationErrors
	if !errors.As(err, &errs) {
		t.Fatalf("Load() = %T, want *config.ValidationErrors", err)
	}
	return errs.All()
}

// writeFile writes a file for one test and returns its path.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
