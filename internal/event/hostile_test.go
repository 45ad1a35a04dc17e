package event_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// hostile reads texts that JSON parsers are known to fail on. The first letter of a name says what is expected: y is JSON,
// though not always an event; n is malformed; d has defects that Decode tolerates; i may be anything.
func hostile(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/hostile/*.json")
	if err != nil || len(files) < 300 {
		tb.Fatalf("only %d texts: %v", len(files), err)
	}
	texts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		texts[filepath.Base(file)] = text
	}
	deep := strings.Repeat("[", 100_000)
	texts["n_depth_100000_never_closed.json"] = []byte(deep)
	texts["n_depth_100000_closed.json"] = []byte(deep + strings.Repeat("]", 100_000))
	texts["n_depth_100000_objects.json"] = []byte(strings.Repeat(`{"a":`, 100_000))
	texts["n_depth_100000_in_data.json"] = []byte(`{"job":"j","data":` + deep)
	return texts
}

func TestDecodeHostile(t *testing.T) {
	t.Parallel()
	for name, text := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := event.Decode(text)
			checkOutcome(t, name, text, e, err)
			long := append(append([]byte{}, text...), strings.Repeat(" ", 70_000)...)
			checkOutcome(t, name, long, e, sameError(t, err, long))
		})
	}
}

// sameError decodes text, which takes the way of long texts, and wants the error of the short one.
func sameError(t *testing.T, want error, text []byte) error {
	t.Helper()
	_, err := event.Decode(text)
	if isMalformed(err) != isMalformed(want) || isInvalid(err) != isInvalid(want) {
		t.Errorf("with trailing white space: error = %v, want %v", err, want)
	}
	return err
}

// checkOutcome checks the outcome of a text against the first letter of its name.
func checkOutcome(t *testing.T, name string, text []byte, e event.Event, err error) {
	t.Helper()
	switch {
	case err == nil && (name[0] == 'n' || e.Job == ""):
		t.Errorf("event = %+v, want an error", e)
	case err == nil && (len(e.Defects) > 0) != (name[0] == 'd') && name[0] != 'i':
		t.Errorf("defects = %v, want some for d only", e.Defects)
	case err == nil:
	case (name[0] == 'd' || name[0] == 'y') && !isInvalid(err):
		t.Errorf("error = %T %v, want an InvalidError", err, err)
	case name[0] == 'n' && !isMalformed(err):
		t.Errorf("error = %T %v, want a MalformedError", err, err)
	default:
		checkError(t, text, err)
	}
}

// checkError checks that an error is one plain sentence of ours and has a place.
func checkError(t *testing.T, text []byte, err error) {
	t.Helper()
	odd := strings.IndexFunc(err.Error(), func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) })
	if len(err.Error()) > 300 || odd >= 0 || strings.Contains(err.Error(), "jsontext") {
		t.Errorf("error = %q, want at most 300 plain characters", err)
	}
	var malformed *event.MalformedError
	var invalid *event.InvalidError
	switch {
	case errors.As(err, &malformed):
		if malformed.Kind == "" || malformed.Offset < 0 || malformed.Offset > int64(len(text)) {
			t.Errorf("defect = %+v, want a kind and an offset within %d bytes", malformed.Defect, len(text))
		}
	case errors.As(err, &invalid):
		if len(invalid.Faults) == 0 {
			t.Error("faults = none, want at least one")
		}
	default:
		t.Errorf("error = %T %v, want a MalformedError or InvalidError", err, err)
	}
}

// TestDecodeTakesEveryValue puts every well-formed text where a callback may hold anything.
func TestDecodeTakesEveryValue(t *testing.T) {
	t.Parallel()
	for name, text := range hostile(t) {
		if name[0] != 'y' || strings.Contains(name, "depth") {
			continue
		}
		body := []byte(`{"job":"j","data":` + string(text) + `,"results":` + string(text) + `}`)
		e, err := event.Decode(body)
		if want := strings.Trim(string(text), " \t\r\n"); err != nil || string(e.Data) != want {
			t.Errorf("%s: error, data = %v, %q, want none, %q", name, err, e.Data, want)
		}
	}
}

func isMalformed(err error) bool {
	var malformed *event.MalformedError
	return errors.As(err, &malformed)
}

func isInvalid(err error) bool {
	var invalid *event.InvalidError
	return errors.As(err, &invalid)
}
