package telemetry_test

import (
	"log"
	"log/slog"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/rs/zerolog"
)

func TestSlogLinesKeepLevelFieldsAndOneTime(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "debug", "json")
	logger := telemetry.NewSlog(log, slog.LevelWarn).With("component", "queue").WithGroup("job")
	logger.Error("job failed", "id", 7)

	fields := decode(t, out.Bytes())
	if fields["level"] != "error" || fields["message"] != "job failed" || fields["job.id"] != 7.0 {
		t.Errorf("line = %s, want level error, message job failed, job.id 7", out)
	}
	if !strings.Contains(out.String(), `component":"queue"`) {
		t.Errorf("line = %s, want the field component", out)
	}
	if strings.Count(out.String(), `"time"`) != 1 {
		t.Errorf("line = %s, want one time", out)
	}
}

func TestSlogFloorAndLoggerLevelBothHold(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		level string
		floor slog.Level
		want  int
	}{
		{"floor above the logger's level", "debug", slog.LevelWarn, 2},
		{"logger's level above the floor", "error", slog.LevelDebug, 1},
		{"both open", "debug", slog.LevelDebug, 4},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			log, out := newLogger(t, row.level, "json")
			logger := telemetry.NewSlog(log, row.floor)
			logger.Debug("one")
			logger.Info("two")
			logger.Warn("three")
			logger.Error("four")
			if got := strings.Count(out.String(), "\n"); got != row.want {
				t.Errorf("%d lines, want %d:\n%s", got, row.want, out)
			}
		})
	}
}

func TestStandardLoggerWritesOneBoundedLineForEachCall(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "debug", "json")
	logger := telemetry.NewStandard(log, zerolog.WarnLevel)
	logger.Printf("http: panic serving\nstack")
	logger.Print(strings.Repeat("ä", 10_000))

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines = %d, want 2:\n%s", len(lines), out)
	}
	first := decode(t, []byte(lines[0]))
	if first["level"] != "warn" || first["message"] != "http: panic serving\nstack" {
		t.Errorf("first line = %s, want level warn and the stack", lines[0])
	}
	message, _ := decode(t, []byte(lines[1]))["message"].(string)
	if len(message) > 4200 || !strings.HasSuffix(message, "ä…") {
		t.Errorf("long line has %d bytes and ends in %q, want at most 4200 and an ellipsis", len(message), message[len(message)-8:])
	}
}

func TestStandardLoggerKeepsToTheLevel(t *testing.T) {
	t.Parallel()
	log, out := newLogger(t, "warn", "json")
	telemetry.NewStandard(log, zerolog.DebugLevel).Print("noise")
	if out.Len() != 0 {
		t.Errorf("output = %s, want none", out)
	}
}

// net/http logs bytes of a host that responds without a request.
func TestStandardMessagesAreShortVisibleLines(t *testing.T) { //nolint:paralleltest // changes the logger of package log
	writer, flags := log.Writer(), log.Flags()
	t.Cleanup(func() {
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	logger, out := newLogger(t, "debug", "json")
	telemetry.TakeOverStandard(logger, zerolog.DebugLevel)
	rows := []struct{ name, message, want string }{
		{name: "control characters", message: "starting with \x1b[2J\u202e\xffHTTP/1.1\r\nforged", want: "starting with [2JHTTP/1.1 forged"},
		{name: "long", message: strings.Repeat("x", 5000), want: strings.Repeat("x", 197) + "…"},
	}
	for _, row := range rows {
		out.Reset()
		log.Print(row.message)
		if got := decode(t, out.Bytes())["message"]; got != row.want {
			t.Errorf("%s: message = %q, want %q", row.name, got, row.want)
		}
	}
}
