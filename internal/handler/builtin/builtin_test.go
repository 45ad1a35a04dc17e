package builtin_test

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDefinitions(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z][a-z0-9]*$`) // part of variables, queues and metrics
	seen := map[string]bool{}
	for _, definition := range builtin.All() {
		if !name.MatchString(definition.Name) || seen[definition.Name] {
			t.Errorf("name = %q, want a valid name that is not taken", definition.Name)
		}
		seen[definition.Name] = true
		config := reflect.TypeOf(definition.NewConfig()).Elem()
		for field := range config.Fields() {
			if field.Tag.Get("envconfig") == "" || field.Tag.Get("desc") == "" {
				t.Errorf("%s: tags of %s = %s, want envconfig and desc", definition.Name, field.Name, field.Tag)
			}
		}
	}
}

func TestDefinitionMakesItsHandler(t *testing.T) {
	t.Parallel()
	definition := builtin.All()[0]
	config, ok := definition.NewConfig().(*download.Config)
	if !ok {
		t.Fatalf("configuration = %T, want *download.Config", definition.NewConfig())
	}
	config.Timeout, config.Concurrency = time.Minute, 3
	if got := config.Limits(); got != (handler.Limits{Concurrency: 3, Timeout: time.Minute}) {
		t.Errorf("limits = %+v, want 3 for a minute", got)
	}
	made, err := definition.New(t.Context(), config, handler.Deps{DefaultBucketURL: "file://" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := handler.Close(made); err != nil {
		t.Error(err)
	}
	if _, err := definition.New(t.Context(), nil, handler.Deps{}); err == nil {
		t.Error("error without a configuration = nil, want one")
	}
}
