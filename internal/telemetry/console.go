package telemetry

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// messageWidth is the column, in characters, at which the fields of a console
// line begin; a longer message pushes them to the right.
const messageWidth = 26

// ANSI colours, used sparingly: what is usual is dim, and only what needs a person is coloured.
const (
	plain  = 0
	red    = 31
	yellow = 33
	dim    = 90
)

// newConsole makes a writer that turns JSON lines into aligned lines for a
// person: local time, level, message, then the fields.
func newConsole(w io.Writer, colour bool) io.Writer {
	paint := painter(colour)
	console := zerolog.ConsoleWriter{
		Out:                 w,
		NoColor:             !colour,
		PartsOrder:          []string{zerolog.TimestampFieldName, zerolog.LevelFieldName, zerolog.MessageFieldName},
		FieldsOrder:         fieldsOrder(),
		FormatTimestamp:     func(v any) string { return paint(dim, clock(v)) },
		FormatLevel:         func(v any) string { return level(v, paint) },
		FormatMessage:       message,
		FormatFieldName:     func(v any) string { return paint(dim, text(v)+"=") },
		FormatFieldValue:    text,
		FormatErrFieldName:  func(v any) string { return paint(dim, text(v)+"=") },
		FormatErrFieldValue: func(v any) string { return paint(red, text(v)) },
	}
	return console
}

// fieldsOrder puts what a person looks for first; the other fields follow by name.
func fieldsOrder() []string {
	return []string{
		"error", "component", "method", "route", "status", "event", "job", "handler", "attempt",
		"outcome", "reason", "duplicate", "bytes", "bytes_in", "bytes_out", "duration", "duration_ms",
	}
}

type paintFunc func(colour int, text string) string

func painter(colour bool) paintFunc {
	return func(code int, text string) string {
		if !colour || code == plain {
			return text
		}
		return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
	}
}

// clock shortens the time of a line to that of the day, in local time.
func clock(v any) string {
	stamped, err := time.Parse(timeFormat, text(v))
	if err != nil {
		return strings.Repeat("-", len("15:04:05.000"))
	}
	return stamped.Local().Format("15:04:05.000")
}

func level(v any, paint paintFunc) string {
	name := fmt.Sprintf("%-5s", text(v))
	switch text(v) {
	case zerolog.LevelErrorValue, zerolog.LevelFatalValue, zerolog.LevelPanicValue:
		return paint(red, name)
	case zerolog.LevelWarnValue:
		return paint(yellow, name)
	case zerolog.LevelDebugValue, zerolog.LevelTraceValue:
		return paint(dim, name)
	default:
		return name
	}
}

// message pads to the column of the fields. What a terminal could take for a command is quoted.
func message(v any) string {
	plain := text(v)
	if strings.ContainsFunc(plain, func(r rune) bool { return !strconv.IsPrint(r) }) {
		plain = strconv.Quote(plain)
	}
	return fmt.Sprintf("%-*s", messageWidth, plain)
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}
