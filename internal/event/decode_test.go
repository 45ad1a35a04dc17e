package event_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

func TestDecodeReadsEveryMember(t *testing.T) {
	t.Parallel()
	body := []byte(` { "results" : [ {"url":"https:\/\/a/2"} ], "other": 1, "data" : {"url": "x"} ,` +
		`"result_url":"https:\/\/deep-image.ai/\u0061.png","j\u006fb":"job \"é\"" } `)
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if e.Job != `job "é"` || e.ResultURL != "https://deep-image.ai/a.png" {
		t.Errorf("job %q, result_url %q", e.Job, e.ResultURL)
	}
	if string(e.Results) != `[ {"url":"https:\/\/a/2"} ]` || string(e.Data) != `{"url": "x"}` {
		t.Errorf("results %s, data %s", e.Results, e.Data)
	}
	if &e.Body[0] != &body[0] || len(e.Body) != len(body) {
		t.Error("the body is not the one that was given")
	}
}

func TestDecodeOptionalMembers(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, resultURL, results, data string }{
		{"missing", `{"job":"j"}`, "", "", ""},
		{"null", `{"job":"j","result_url":null,"results":null,"data":null}`, "", "", "null"},
		{"empty", `{"job":"j","result_url":"","results":[],"data":{}}`, "", "[]", "{}"},
		{"other shapes", `{"job":"j","result_url":"storage://shop/a.png","results":0,"data":"x"}`, "storage://shop/a.png", "0", `"x"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e, err := event.Decode([]byte(row.body))
			if err != nil {
				t.Fatal(err)
			}
			if e.ResultURL != row.resultURL || string(e.Results) != row.results || string(e.Data) != row.data {
				t.Errorf("result_url %q, results %q, data %q", e.ResultURL, e.Results, e.Data)
			}
			if (e.Results == nil) != (row.results == "") || (e.Data == nil) != (row.data == "") {
				t.Error("what is missing is not nil")
			}
		})
	}
}

func TestDecodeTellsEveryFault(t *testing.T) {
	t.Parallel()
	noObject := []event.Fault{{Pointer: "", Detail: "must be an object"}}
	noString := []event.Fault{{Pointer: "/job", Detail: "must be a string"}}
	noAddress := []event.Fault{{Pointer: "/result_url", Detail: "must be a string or null"}}
	tooLong := event.Fault{Pointer: "/job", Detail: "must be at most 256 bytes"}
	control := event.Fault{Pointer: "/job", Detail: "must not contain control characters"}
	rows := []struct {
		name, body string
		faults     []event.Fault
	}{
		{"array", `[{"job":"j"}]`, noObject},
		{"null", `null`, noObject},
		{"string", `"job"`, noObject},
		{"job missing", `{"Job":"j"}`, []event.Fault{{Pointer: "/job", Detail: "is missing"}}},
		{"job null", `{"job":null}`, noString},
		{"job number", `{"job":1}`, noString},
		{"job object", `{"job":{"id":"j"}}`, noString},
		{"job empty", `{"job":""}`, []event.Fault{{Pointer: "/job", Detail: "must not be empty"}}},
		{"job longest", `{"job":"` + strings.Repeat("é", 128) + `"}`, nil},
		{"job too long", `{"job":"` + strings.Repeat("é", 128) + `x"}`, []event.Fault{tooLong}},
		{"job control", `{"job":"a\u007f"}`, []event.Fault{control}},
		{"job control of Latin-1", `{"job":"a\u0085"}`, []event.Fault{control}},
		{"job too long and control", `{"job":"\u0000` + strings.Repeat("x", 256) + `"}`, []event.Fault{tooLong, control}},
		{"result_url number", `{"job":"j","result_url":7}`, noAddress},
		{"result_url false", `{"job":"j","result_url":false}`, noAddress},
		{"result_url list", `{"job":"j","result_url":["https://a/b"]}`, noAddress},
		{"result_url longest", `{"job":"j","result_url":"` + strings.Repeat("x", 8192) + `"}`, nil},
		{
			"result_url too long", `{"job":"j","result_url":"` + strings.Repeat("x", 8193) + `"}`,
			[]event.Fault{{Pointer: "/result_url", Detail: "must be at most 8192 bytes"}},
		},
		{"both", `{"result_url":7,"job":1}`, append(noAddress[:1:1], noString...)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.Decode([]byte(row.body))
			var failure *event.Error
			if (row.faults == nil) != (err == nil) || err != nil && !errors.As(err, &failure) {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				return
			}
			if failure.Code != event.CodeInvalid || !reflect.DeepEqual(failure.Faults, row.faults) {
				t.Errorf("%s: %+v, want %+v", failure.Code, failure.Faults, row.faults)
			}
		})
	}
}

func TestDecodeTellsWhatIsMalformed(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, want string }{
		{"empty", "", "it is empty, at byte 0"},
		{"white space", " \n", "it is empty, at byte 2"},
		{"text", "hello", "there is a character that JSON does not allow there, at byte 0"},
		{"cut", `{"job":"j"`, "it ends before the JSON value is complete, at byte 10"},
		{"mark", "\xEF\xBB\xBF{}", "it starts with a byte order mark; plain UTF-8 without one is demanded, at byte 0"},
		{"UTF-16", "\xFF\xFE{\x00}\x00", "it starts with a byte order mark; plain UTF-8 without one is demanded, at byte 0"},
		{"UTF-8", "{\"job\":\"a\xff\"}", "it is not valid UTF-8, at byte 9, in /job"},
		{"surrogate", `{"job":"a\ud800"}`, "a string has an escape that is not allowed, or half of a surrogate pair, at byte 9, in /job"},
		{"duplicate", `{"job":"a","data":{"x":1,"x":2}}`, "an object has the same name twice, at byte 25, in /data/x"},
		{"duplicate of odd name", `{"job":"a","data":{"<b>":1,"<b>":2}}`, "an object has the same name twice, at byte 27"},
		{"duplicate of long name", fmt.Sprintf(`{"%[1]s":1,"%[1]s":2}`, strings.Repeat("n", 200)), "an object has the same name twice, at byte 206"},
		{"name", `{"job":"a",1:2}`, "the name of an object's member is not a string, at byte 11"},
		{"follows", `{"job":"a"}  {}`, "something follows the JSON value, at byte 13"},
		{"comma", `{"job":"a",}`, "there is a character that JSON does not allow there, at byte 10"},
		{"depth", strings.Repeat("[", 65), "objects and arrays are nested deeper than 64 levels, at byte 64"},
		{"tokens", "[" + strings.Repeat("1,", event.MaxTokens) + "1]", "there are more than 200000 names, values and brackets, at byte 400000"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.Decode([]byte(row.body))
			want := "malformed: the body is not JSON as it is demanded here: " + row.want
			if err == nil || err.Error() != want {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
}

// TestDecodeBoundsTokens takes as many tokens as there may be.
func TestDecodeBoundsTokens(t *testing.T) {
	t.Parallel()
	const others = 7 // two braces, job and its value, data and its brackets
	body := `{"job":"j","data":[` + strings.Repeat("1,", event.MaxTokens-others-1) + `1]}`
	if _, err := event.Decode([]byte(body)); err != nil {
		t.Error(err)
	}
	if _, err := event.Decode([]byte(strings.Replace(body, "1", "1,1", 1))); event.CodeOf(err) != event.CodeMalformed {
		t.Errorf("one more: %v", err)
	}
}

// TestLongStringsAreNotCopied reads an inline image in far less memory than it has.
func TestLongStringsAreNotCopied(t *testing.T) { //nolint:paralleltest // counts the memory of the whole process
	body := inline(4 << 20)
	rows := []struct {
		name string
		read func() error
	}{
		{"Decode", func() error { _, err := event.Decode(body); return err }},
		{"Redact", func() error { _, err := event.Redact(body); return err }},
	}
	for _, row := range rows {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := row.read()
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; err != nil || allocated > 64<<10 {
			t.Errorf("%s: %d bytes allocated for a body of %d: %v", row.name, allocated, len(body), err)
		}
	}
}

// TestDecodeMemoryOfManyNames keeps the cost of names, which are remembered, within a multiple of the body.
func TestDecodeMemoryOfManyNames(t *testing.T) { //nolint:paralleltest // counts the memory of the whole process
	var names strings.Builder
	for i := range 99_000 {
		fmt.Fprintf(&names, `"%d":0,`, i)
	}
	body := []byte(`{"job":"j","data":{` + names.String() + `"":0}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := event.Decode(body)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; err != nil || allocated > 32<<20 {
		t.Errorf("%d bytes allocated for a body of %d: %v", allocated, len(body), err)
	}
}

func TestDecodeLeavesTheBodyAlone(t *testing.T) {
	t.Parallel()
	for _, body := range [][]byte{inline(100), inline(100_000), example(t, "07-face-swap.json")} {
		before := bytes.Clone(body)
		e, err := event.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		e.Images()
		if _, err := event.Redact(body); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(body, before) {
			t.Error("the body was changed")
		}
	}
}
