package event_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/go-json-experiment/json/jsontext"
)

// formatted is the digest of results with a copy of them, as the first versions computed it.
func formatted(t testing.TB, results []byte) string {
	t.Helper()
	text, err := jsontext.AppendFormat(binary.BigEndian.AppendUint64(nil, 0), results, jsontext.ReorderRawObjects(true),
		jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
	if err != nil {
		t.Fatal(err)
	}
	return event.Digest(sha256.Sum256(text)).String()
}

// randomValue returns a value with unusual names and strings, long ones among them.
func randomValue(random *rand.Rand, depth int) string {
	pieces := []string{"a", "?", `\u00e9`, "é", `\ud83d\ude80`, "🚀", `\/`, "/", `\n`, `\"`, `\\`, "\ufb33", "€", strings.Repeat("x", 4090), strings.Repeat(`\u20ac`, 700)}
	text := func() string {
		var content strings.Builder
		for range random.IntN(5) {
			content.WriteString(pieces[random.IntN(len(pieces))])
		}
		return `"` + content.String() + `"`
	}
	switch kind := random.IntN(6); {
	case kind == 0 && depth > 0:
		var items []string
		for range random.IntN(5) {
			items = append(items, randomValue(random, depth-1))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case kind < 3 && depth > 0:
		var members []string
		for n := range random.IntN(5) {
			name := text()
			members = append(members, fmt.Sprintf("%s%d\" : %s", name[:len(name)-1], n, randomValue(random, depth-1)))
		}
		return "{" + strings.Join(members, ",") + " }"
	case kind == 3:
		return []string{"1", "-0", "2.50", "1e400", "true", "false", "null"}[random.IntN(7)]
	default:
		return text()
	}
}

func TestDigestEqualsThatOfACopy(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		results := randomValue(random, 4)
		if results == "null" {
			continue
		}
		e, err := event.Decode([]byte(`{"job":"j","results":` + results + `}`))
		if err != nil {
			t.Fatalf("%.200s: error = %v, want none", results, err)
		}
		if got, want := e.SignedDigest.String(), formatted(t, []byte(results)); got != want {
			t.Fatalf("%.200s: digest = %s, want %s", results, got, want)
		}
	}
}

// TestDecodingLongTexts has rows of fault D1: memory does not grow with the length of a body.
func TestDecodingLongTexts(t *testing.T) { //nolint:paralleltest // counts the memory of the whole process
	const length = 2 << 20
	long := strings.Repeat("x", length)
	many := func(item string) string { return strings.TrimSuffix(strings.Repeat(item+",", length/len(item)), ",") }
	var names strings.Builder
	for n := range 2000 {
		fmt.Fprintf(&names, `"%04d%s":0,`, n, long[:length/2000])
	}
	rows := []struct{ name, body string }{
		{"D1 job", `{"job":"` + long + `"}`},
		{"D1 address", `{"job":"j","result_url":"` + long + `"}`},
		{"D1 name", `{"job":"j","` + long + `":0}`},
		{"D1 result", `{"job":"j","results":"https://h/?` + long + `"}`},
		{"D1 results", `{"job":"j","results":["` + strings.Repeat(long[:length/1000]+`?","`, 1000) + `"]}`},
		{"D1 escapes", `{"job":"j","results":"` + strings.Repeat(`\u00e9`, length/6) + `"}`},
		{"D1 names of results", `{"job":"j","results":{` + names.String() + `"":0}}`},
		{"D1 names", `{"job":"j","data":{` + names.String() + `"":0}}`},
		{"D1 defects", `{"job":"j","data":[` + many(`"\ud800"`) + `]}`},
		{"D1 depth", `{"job":"j","data":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`},
	}
	for _, row := range rows {
		body := []byte(row.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = event.Decode(body)
		runtime.ReadMemStats(&after)
		if got, want := after.TotalAlloc-before.TotalAlloc, uint64(memoryFactor*1<<20); got > want {
			t.Errorf("%s: allocated %d bytes for a body of %d, want at most %d", row.name, got, len(body), want)
		}
	}
}

// TestDuplicateNamesInLongResults finds them without a copy of the names.
func TestDuplicateNamesInLongResults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for _, results := range []string{
		`{"` + long + `":1,"a":{},"` + long + `":2}`, `[{"a":"` + long + `","\u0061":1}]`, `{"` + long + `":{"é":1,"\u00e9":2}}`,
	} {
		body := []byte(`{"job":"j","results":` + results + `}`)
		_, err := event.Decode(body)
		var malformed *event.MalformedError
		if !isMalformed(err) {
			t.Errorf("%.30s: error = %v, want a MalformedError", results, err)
			continue
		}
		_ = malformed
	}
	if _, err := event.Decode(bytes.Repeat([]byte(" "), 100_000)); !isMalformed(err) {
		t.Errorf("white space: error = %v, want a MalformedError", err)
	}
}

// TestRedactingLongTexts has rows of fault D1: a copy is bounded, whatever the body is.
func TestRedactingLongTexts(t *testing.T) { //nolint:paralleltest // counts the memory of the whole process
	const length = 4 << 20
	many := func(item string) string { return strings.TrimSuffix(strings.Repeat(item+",", length/len(item)), ",") }
	rows := []struct {
		name, body string
		omitted    bool
	}{
		{name: "D1 many strings", body: "[" + many(`"a"`) + "]", omitted: true},
		{name: "D1 long number", body: "[" + strings.Repeat("1", length) + "]", omitted: true},
		{name: "D1 long name", body: `{"token` + strings.Repeat("x", length) + `":"T0KEN"}`},
		{name: "D1 long string with a defect", body: `["` + strings.Repeat("x", length) + `\ud800"]`},
		{name: "D1 defects", body: "[" + many(`"\ud800"`) + "]", omitted: true},
		{name: "D1 strings that grow", body: "[" + many(`"`+strings.Repeat("\x01", 1500)+`"`) + "]", omitted: true},
	}
	for _, row := range rows {
		body := []byte(row.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		shown, err := event.Redact(body)
		runtime.ReadMemStats(&after)
		if got, want := after.TotalAlloc-before.TotalAlloc, uint64(memoryFactor*(24*length)); got > want {
			t.Errorf("%s: allocated %d bytes for a body of %d, want at most %d", row.name, got, len(body), want)
		}
		if omitted := bytes.HasPrefix(shown, []byte(`"[omitted: `)); err != nil || len(shown) > 2<<20 || omitted != row.omitted || bytes.Contains(shown, []byte("T0KEN")) {
			t.Errorf("%s: copy = %.50q of %d bytes, error %v, want none, omitted %t, and no secret", row.name, shown, len(shown), err, row.omitted)
		}
	}
}
