// Package telemetry makes the logger, bridges to it for libraries with other loggers,
// and the version of the build.
package telemetry

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// Config says how much is logged and in which form.
type Config struct {
	Level  string `envconfig:"LEVEL" default:"info" range:"debug|info|warn|error" desc:"lowest level of log lines"`
	Format string `envconfig:"FORMAT" default:"auto" range:"auto|console|json" desc:"log format: console for people, json for programs; auto is console on a terminal, else json"`
}

// timeFormat is RFC 3339 with milliseconds. It is used on UTC times only, so lines sort as text.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// NewLogger makes a logger that writes whole lines to w, one call of Write per
// line, from any number of goroutines. The level and the format must be among
// the values that Config names.
func NewLogger(w io.Writer, config Config) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(config.Level)
	if err != nil || config.Level == "" {
		return zerolog.Nop(), fmt.Errorf("telemetry: %q is no log level", config.Level)
	}
	out, err := form(zerolog.SyncWriter(w), config.Format, isTerminal(w))
	if err != nil {
		return zerolog.Nop(), err
	}
	return zerolog.New(out).Level(level).Hook(zerolog.HookFunc(stamp)), nil
}

func form(w io.Writer, format string, terminal bool) (io.Writer, error) {
	switch {
	case format == "json", format == "auto" && !terminal:
		return w, nil
	case format == "console", format == "auto":
		return newConsole(w, terminal && os.Getenv("NO_COLOR") == ""), nil
	default:
		return nil, fmt.Errorf("telemetry: %q is no log format", format)
	}
}

// stamp adds the time of a line. zerolog's own timestamps have the format that
// is in a global variable of zerolog, which any package could change for all.
func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(timeFormat))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
