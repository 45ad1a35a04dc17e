package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/rs/zerolog"
)

func newLogger(t *testing.T, level, format string) (zerolog.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, telemetry.Config{Level: level, Format: format})
	if err != nil {
		t.Fatal(err)
	}
	return log, &out
}

func decode(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	return fields
}

func TestJSONLineHasUTCTimeWithMilliseconds(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "info", "json")
	before := time.Now().Truncate(time.Millisecond)
	log.Info().Str("job", "42").Msg("step finished")

	fields := decode(t, out.Bytes())
	stamp, _ := fields["time"].(string)
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(stamp) {
		t.Fatalf("time = %q, want UTC with milliseconds", stamp)
	}
	logged, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || logged.Before(before) || logged.After(time.Now()) {
		t.Errorf("time = %q (%v), want now", stamp, err)
	}
	if fields["message"] != "step finished" || fields["job"] != "42" || fields["level"] != "info" {
		t.Errorf("line = %s, want level info, message step finished, job 42", out)
	}
	if strings.Count(out.String(), `"time"`) != 1 {
		t.Errorf("line = %s, want one time", out)
	}
}

func TestAutoIsJSONAwayFromATerminal(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "info", "auto")
	log.Info().Msg("hello")
	decode(t, out.Bytes())
}

func TestLevelHoldsBackLesserLines(t *testing.T) {
	t.Parallel()
	rows := map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1}
	for level, want := range rows {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			log, out := newLogger(t, level, "json")
			log.Debug().Msg("one")
			log.Info().Msg("two")
			log.Warn().Msg("three")
			log.Error().Msg("four")
			if got := strings.Count(out.String(), "\n"); got != want {
				t.Errorf("%d lines, want %d:\n%s", got, want, out)
			}
		})
	}
}

func TestWrongConfigIsRefused(t *testing.T) {
	t.Parallel()
	rows := map[string]telemetry.Config{
		"no level":       {Format: "json"},
		"unknown level":  {Level: "loud", Format: "json"},
		"no format":      {Level: "info"},
		"unknown format": {Level: "info", Format: "xml"},
	}
	for name, config := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := telemetry.NewLogger(&bytes.Buffer{}, config); err == nil {
				t.Error("error = nil, want one")
			}
		})
	}
}

func TestConsoleLinesAreAlignedAndPlain(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "debug", "console")
	log.Info().Int("bytes", 12).Str("handler", "download").Str("event", "e1").Msg("step finished")
	log.Warn().Str("handler", "download").Msg("retry")
	log.Error().Err(errors.New("disk is full")).Str("handler", "download").Msg("step failed")

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	want := []string{
		`info  step finished              event=e1 handler=download bytes=12`,
		`warn  retry                      handler=download`,
		`error step failed                error="disk is full" handler=download`,
	}
	if len(lines) != len(want) {
		t.Fatalf("lines = %d, want %d:\n%s", len(lines), len(want), out)
	}
	clock := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `)
	for i, line := range lines {
		if !clock.MatchString(line) || clock.ReplaceAllString(line, "") != want[i] {
			t.Errorf("line %q, want the time and %q", line, want[i])
		}
	}
}

func TestConsoleQuotesWhatATerminalWouldObey(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "info", "console")
	log.Info().Str("host", "a\x1b[2Jb").Msg("x\x1b]0;title\ay\nz")
	if strings.ContainsAny(out.String(), "\x1b\a") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("output = %q, want one line without control characters", out)
	}
}

func TestLinesOfManyGoroutinesStayWhole(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "info", "json")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 50 {
				log.Info().Str("text", strings.Repeat("x", 100)).Msg("busy")
			}
		})
	}
	group.Wait()
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if len(lines) != 1000 {
		t.Fatalf("%d lines, want 1000", len(lines))
	}
	for _, line := range lines {
		decode(t, line)
	}
}
