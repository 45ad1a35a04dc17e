package telemetry

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/rs/zerolog"
)

const (
	// maxLibraryLine bounds what a library can make us write in one line, in bytes.
	maxLibraryLine = 4096
	// maxForeignLine is the bound for a line that may quote what a remote host sent.
	maxForeignLine = 200
)

// NewSlog makes a logger for a library that logs through log/slog. Its lines of
// level floor and above go to log; the rest, which a library writes for its own
// developers, is dropped.
func NewSlog(log zerolog.Logger, floor slog.Level) *slog.Logger {
	return slog.New(bridge{inner: zerolog.NewSlogHandler(log), floor: floor})
}

// bridge is a slog.Handler with a floor under the level.
type bridge struct {
	inner slog.Handler
	floor slog.Level
}

// Enabled reports whether a line of this level would be written.
func (b bridge) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= b.floor && b.inner.Enabled(ctx, level)
}

// Handle writes one line. Its time is dropped, because the logger stamps every line itself.
func (b bridge) Handle(ctx context.Context, record slog.Record) error {
	record.Time = time.Time{}
	record.Message = sanitize.Clip(record.Message, maxLibraryLine)
	return b.inner.Handle(ctx, record)
}

// WithAttrs adds fields to every line.
func (b bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	return bridge{inner: b.inner.WithAttrs(attrs), floor: b.floor}
}

// WithGroup puts the fields that follow under a name.
func (b bridge) WithGroup(name string) slog.Handler {
	return bridge{inner: b.inner.WithGroup(name), floor: b.floor}
}

// NewStandard makes a logger for a library that logs through package log, such
// as net/http; every line has the one level that is given.
func NewStandard(logger zerolog.Logger, level zerolog.Level) *log.Logger {
	return log.New(lineWriter{logger: logger, level: level}, "", 0)
}

// TakeOverStandard sends what is written to the standard logger of package log, such as
// messages of net/http about bad responses, through logger at one level. Those quote bytes of
// the remote host: a message becomes one short line of visible characters. It changes that
// global, so only a program does it, once.
func TakeOverStandard(logger zerolog.Logger, level zerolog.Level) {
	log.SetFlags(0)
	log.SetOutput(lineWriter{logger: logger, level: level, isForeign: true})
}

type lineWriter struct {
	logger    zerolog.Logger
	level     zerolog.Level
	isForeign bool // messages quote what a remote host sent
}

// Write logs what package log hands over in one call: one line.
func (w lineWriter) Write(line []byte) (int, error) {
	text := sanitize.Clip(strings.TrimRight(string(line), "\r\n"), maxLibraryLine)
	if w.isForeign {
		text = sanitize.Line(text, maxForeignLine)
	}
	w.logger.WithLevel(w.level).Msg(text)
	return len(line), nil
}
