package event_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// hostile reads the texts that JSON parsers are known to stumble over. What begins
// with y is JSON, though not always an event; n is refused as malformed; i may be either.
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
	if event.CodeOf(err) != event.CodeOf(want) || (err == nil) != (want == nil) {
		t.Errorf("with white space behind it: %v, without: %v", err, want)
	}
	return err
}

// checkOutcome checks what became of a text against the first letter of its name.
func checkOutcome(t *testing.T, name string, text []byte, e event.Event, err error) {
	t.Helper()
	code := event.CodeOf(err)
	switch {
	case err == nil && (name[0] == 'n' || e.Job == ""):
		t.Errorf("accepted: %+v", e)
	case err == nil:
	case code != event.CodeMalformed && code != event.CodeInvalid:
		t.Errorf("neither malformed nor invalid: %v", err)
	case name[0] == 'y' && code != event.CodeInvalid, name[0] == 'n' && code != event.CodeMalformed:
		t.Errorf("told as %s: %v", code, err)
	default:
		checkDetail(t, text, err)
	}
}

// checkDetail makes sure that an error is one plain sentence of ours.
func checkDetail(t *testing.T, text []byte, err error) {
	t.Helper()
	var failure *event.Error
	if !errors.As(err, &failure) {
		t.Fatalf("a %T", err)
	}
	odd := strings.IndexFunc(failure.Detail, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) })
	if failure.Detail == "" || len(failure.Detail) > 300 || odd >= 0 || !utf8.ValidString(failure.Detail) {
		t.Errorf("detail %q", failure.Detail)
	}
	if strings.Contains(failure.Detail, "jsontext") || failure.Err != nil {
		t.Errorf("the decoder speaks: %v", failure)
	}
	if code := failure.Code; (code == event.CodeInvalid) != (len(failure.Faults) > 0) {
		t.Errorf("%s with %d faults", code, len(failure.Faults))
	}
	if len(text) > 0 && failure.Code == event.CodeMalformed && !strings.Contains(failure.Detail, "at byte ") {
		t.Errorf("no place in %q", failure.Detail)
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
			t.Errorf("%s: %v, data %q", name, err, e.Data)
		}
	}
}
