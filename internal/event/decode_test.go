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

func TestDecodeInvalid(t *testing.T) {
	t.Parallel()
	type fault struct {
		pointer string
		kind    event.FaultKind
	}
	rows := []struct {
		name, body string
		want       []fault
	}{
		{"array", `[{"job":"j"}]`, []fault{{"", event.FaultType}}},
		{"null", `null`, []fault{{"", event.FaultType}}},
		{"string", `"job"`, []fault{{"", event.FaultType}}},
		{"job missing", `{"Job":"j"}`, []fault{{"/job", event.FaultMissing}}},
		{"job null", `{"job":null}`, []fault{{"/job", event.FaultType}}},
		{"job number", `{"job":1}`, []fault{{"/job", event.FaultType}}},
		{"job object", `{"job":{"id":"j"}}`, []fault{{"/job", event.FaultType}}},
		{"job empty", `{"job":""}`, []fault{{"/job", event.FaultEmpty}}},
		{"job longest", `{"job":"` + strings.Repeat("é", 128) + `"}`, nil},
		{"job too long", `{"job":"` + strings.Repeat("é", 128) + `x"}`, []fault{{"/job", event.FaultTooLong}}},
		{"job control", `{"job":"a\u007f"}`, []fault{{"/job", event.FaultControl}}},
		{"job control of Latin-1", `{"job":"a\u0085"}`, []fault{{"/job", event.FaultControl}}},
		{
			"job too long and control", `{"job":"\u0000` + strings.Repeat("x", 256) + `"}`,
			[]fault{{"/job", event.FaultTooLong}, {"/job", event.FaultControl}},
		},
		{"result_url number", `{"job":"j","result_url":7}`, []fault{{"/result_url", event.FaultType}}},
		{"result_url false", `{"job":"j","result_url":false}`, []fault{{"/result_url", event.FaultType}}},
		{"result_url list", `{"job":"j","result_url":["https://a/b"]}`, []fault{{"/result_url", event.FaultType}}},
		{"result_url longest", `{"job":"j","result_url":"` + strings.Repeat("x", 8192) + `"}`, nil},
		{"result_url too long", `{"job":"j","result_url":"` + strings.Repeat("x", 8193) + `"}`, []fault{{"/result_url", event.FaultTooLong}}},
		{"both", `{"result_url":7,"job":1}`, []fault{{"/result_url", event.FaultType}, {"/job", event.FaultType}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.Decode([]byte(row.body))
			var invalid *event.InvalidError
			if err != nil && !errors.As(err, &invalid) {
				t.Fatalf("error = %v, want an InvalidError or none", err)
			}
			var got []fault
			if invalid != nil {
				for _, f := range invalid.Faults {
					got = append(got, fault{f.Pointer, f.Kind})
				}
			}
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("faults = %v, want %v", got, row.want)
			}
		})
	}
}

func TestDecodeMalformed(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string
		want       event.Defect
	}{
		{"empty", "", event.Defect{Kind: event.DefectEmpty}},
		{"white space", " \n", event.Defect{Kind: event.DefectEmpty, Offset: 2}},
		{"text", "hello", event.Defect{Kind: event.DefectSyntax}},
		{"cut", `{"job":"j"`, event.Defect{Kind: event.DefectCut, Offset: 10}},
		{"mark", "\xEF\xBB\xBF{}", event.Defect{Kind: event.DefectByteOrderMark}},
		{"UTF-16", "\xFF\xFE{\x00}\x00", event.Defect{Kind: event.DefectByteOrderMark}},
		{"UTF-8", "{\"job\":\"a\xff\"}", event.Defect{Kind: event.DefectEncoding, Offset: 9, Pointer: "/job"}},
		{"surrogate", `{"job":"a\ud800"}`, event.Defect{Kind: event.DefectEscape, Offset: 9, Pointer: "/job"}},
		{"duplicate", `{"job":"a","data":{"x":1,"x":2}}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 25, Pointer: "/data/x"}},
		{"duplicate of odd name", `{"job":"a","data":{"<b>":1,"<b>":2}}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 27}},
		{
			"duplicate of long name", fmt.Sprintf(`{"%[1]s":1,"%[1]s":2}`, strings.Repeat("n", 200)),
			event.Defect{Kind: event.DefectDuplicateName, Offset: 206},
		},
		{"name", `{"job":"a",1:2}`, event.Defect{Kind: event.DefectName, Offset: 11}},
		{"follows", `{"job":"a"}  {}`, event.Defect{Kind: event.DefectTrailing, Offset: 13}},
		{"comma", `{"job":"a",}`, event.Defect{Kind: event.DefectSyntax, Offset: 10}},
		{"depth", strings.Repeat("[", 65), event.Defect{Kind: event.DefectTooDeep, Offset: 64}},
		{"tokens", "[" + strings.Repeat("1,", event.MaxTokens) + "1]", event.Defect{Kind: event.DefectTooMany, Offset: 400_000}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.Decode([]byte(row.body))
			var malformed *event.MalformedError
			if !errors.As(err, &malformed) || malformed.Defect != row.want {
				t.Errorf("error = %v, want a MalformedError with %+v", err, row.want)
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
	if _, err := event.Decode([]byte(strings.Replace(body, "1", "1,1", 1))); !isMalformed(err) {
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
