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
		t.Errorf("job, result_url = %q, %q, want both unquoted", e.Job, e.ResultURL)
	}
	if string(e.Results) != `[ {"url":"https:\/\/a/2"} ]` || string(e.Data) != `{"url": "x"}` {
		t.Errorf("results, data = %s, %s, want both as sent", e.Results, e.Data)
	}
	if &e.Body[0] != &body[0] || len(e.Body) != len(body) {
		t.Error("body is a copy, want the given one")
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
				t.Errorf("result_url, results, data = %q, %q, %q, want %q, %q, %q", e.ResultURL, e.Results, e.Data, row.resultURL, row.results, row.data)
			}
			if (e.Results == nil) != (row.results == "") || (e.Data == nil) != (row.data == "") {
				t.Errorf("results, data = %#v, %#v, want nil if missing", e.Results, e.Data)
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
		{"mark and no object", "\xEF\xBB\xBFx", event.Defect{Kind: event.DefectSyntax, Offset: 3}},
		{"UTF-16", "\xFF\xFE{\x00}\x00", event.Defect{Kind: event.DefectByteOrderMark}},
		{"UTF-8", "{\"job\":\"a\xff\"}", event.Defect{Kind: event.DefectEncoding, Offset: 9, Pointer: "/job"}},
		{"surrogate", `{"job":"a\ud800"}`, event.Defect{Kind: event.DefectEscape, Offset: 9, Pointer: "/job"}},
		{"duplicate job", `{"job":"a","\u006aob":"a"}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 11, Pointer: "/job"}},
		{"duplicate result_url", `{"job":"a","result_url":"","result_url":null}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 27, Pointer: "/result_url"}},
		{"duplicate results", `{"results":[],"job":"a","results":[]}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 24, Pointer: "/results"}},
		{"duplicate in results", `{"job":"a","results":{"x":1,"x":2}}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 28, Pointer: "/results/x"}},
		{"duplicate of odd name in results", `{"job":"a","results":{"<b>":1,"<b>":2}}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 30, Pointer: "/results"}},
		{
			"duplicate of long name in results", fmt.Sprintf(`{"job":"a","results":{"%[1]s":1,"%[1]s":2}}`, strings.Repeat("n", 200)),
			event.Defect{Kind: event.DefectDuplicateName, Offset: 227, Pointer: "/results"},
		},
		{"surrogate in results", `{"job":"a","results":["\ud800"]}`, event.Defect{Kind: event.DefectEscape, Offset: 23, Pointer: "/results/0"}},
		{"NaN in results", `{"job":"a","results":[NaN]}`, event.Defect{Kind: event.DefectSyntax, Offset: 22, Pointer: "/results/0"}},
		{"NaN as result_url", `{"job":"a","result_url":NaN}`, event.Defect{Kind: event.DefectSyntax, Offset: 24, Pointer: "/result_url"}},
		{"duplicate result_url after NaN", `{"job":"a","x":NaN,"result_url":"","result_url":""}`, event.Defect{Kind: event.DefectDuplicateName, Offset: 35, Pointer: "/result_url"}},
		{"cut in data", `{"job":"a","data":{"x":NaN`, event.Defect{Kind: event.DefectCut, Offset: 26}},
		{"comma in results", `{"job":"a","results":[1,]}`, event.Defect{Kind: event.DefectSyntax, Offset: 23, Pointer: "/results"}},
		{"brackets in data that do not match", `{"job":"a","data":[1}}`, event.Defect{Kind: event.DefectSyntax, Offset: 20, Pointer: "/data"}},
		{"string in data that does not end", `{"job":"a","data":{"size":"15" wide"}}`, event.Defect{Kind: event.DefectSyntax, Offset: 31, Pointer: "/data"}},
		{"no data", `{"job":"a","data":}`, event.Defect{Kind: event.DefectSyntax, Offset: 18, Pointer: "/data"}},
		{"name", `{"job":"a",1:2}`, event.Defect{Kind: event.DefectName, Offset: 11}},
		{"follows", `{"job":"a"}  {}`, event.Defect{Kind: event.DefectTrailing, Offset: 13}},
		{"comma", `{"job":"a",}`, event.Defect{Kind: event.DefectSyntax, Offset: 10}},
		{"depth", strings.Repeat("[", 65), event.Defect{Kind: event.DefectTooDeep, Offset: 64}},
		{
			"depth in results", `{"job":"a","results":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
			event.Defect{Kind: event.DefectTooDeep, Offset: 84, Pointer: "/results"},
		},
		{
			"tokens in results", `{"job":"a","results":[` + strings.Repeat("1,", event.MaxTokens) + "1]}",
			event.Defect{Kind: event.DefectTooMany, Offset: 20_021, Pointer: "/results"},
		},
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

// TestDecodeMaxTokens has as many tokens in results as are allowed, and more in data.
func TestDecodeMaxTokens(t *testing.T) {
	t.Parallel()
	const brackets = 2
	body := `{"job":"j","data":[` + strings.Repeat("1,", 2*event.MaxTokens) + `1],"results":[` + strings.Repeat("1,", event.MaxTokens-brackets-1) + `1]}`
	if _, err := event.Decode([]byte(body)); err != nil {
		t.Errorf("error = %v, want none", err)
	}
	if _, err := event.Decode([]byte(strings.TrimSuffix(body, "]}") + ",1]}")); !isMalformed(err) {
		t.Errorf("error = %v, want a MalformedError for one token more", err)
	}
}

func TestDecodeDefects(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string
		want       []event.Defect
		data       string
	}{
		{"none", `{"job":"j","data":1}`, nil, "1"},
		{"half a surrogate pair", `{"job":"j","data":"\ud83d"}`, []event.Defect{{Kind: event.DefectEscape, Offset: 19, Pointer: "/data"}}, `"\ud83d"`},
		{"low surrogate", `{"job":"j","data":"\udc00"}`, []event.Defect{{Kind: event.DefectEscape, Offset: 19, Pointer: "/data"}}, `"\udc00"`},
		{"raw surrogate", "{\"job\":\"j\",\"data\":\"\xed\xa0\xbd\"}", []event.Defect{{Kind: event.DefectEncoding, Offset: 19, Pointer: "/data"}}, "\"\xed\xa0\xbd\""},
		{"Latin-1", "{\"job\":\"j\",\"data\":[\"M\xfcller\"]}", []event.Defect{{Kind: event.DefectEncoding, Offset: 21, Pointer: "/data/0"}}, "[\"M\xfcller\"]"},
		{"Latin-1 in a name", "{\"job\":\"j\",\"M\xfcller\":1}", []event.Defect{{Kind: event.DefectEncoding, Offset: 13}}, ""},
		{"NaN", `{"job":"j","data":NaN}`, []event.Defect{{Kind: event.DefectLiteral, Offset: 18, Pointer: "/data"}}, "NaN"},
		{"minus infinity", `{"job":"j","x":[-Infinity]}`, []event.Defect{{Kind: event.DefectLiteral, Offset: 16, Pointer: "/x/0"}}, ""},
		{"leading zero", `{"job":"j","x":01}`, []event.Defect{{Kind: event.DefectLiteral, Offset: 15}}, ""},
		{"byte order mark", "\xef\xbb\xbf{\"job\":\"j\"}", []event.Defect{{Kind: event.DefectByteOrderMark}}, ""},
		{"duplicate in data", `{"job":"j","data":{"x":1,"x":2}}`, []event.Defect{{Kind: event.DefectDuplicateName, Offset: 25, Pointer: "/data/x"}}, `{"x":1,"x":2}`},
		{"data twice", `{"job":"j","data":1,"data":2}`, []event.Defect{{Kind: event.DefectDuplicateName, Offset: 20, Pointer: "/data"}}, "2"},
		{"line break in a string", "{\"job\":\"j\",\"data\":\"a\nb\"}", []event.Defect{{Kind: event.DefectControl, Offset: 20, Pointer: "/data"}}, "\"a\nb\""},
		{"false escape", `{"job":"j","data":"\x41"}`, []event.Defect{{Kind: event.DefectEscape, Offset: 19, Pointer: "/data"}}, `"\x41"`},
		{
			"deep", `{"job":"j","data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
			[]event.Defect{{Kind: event.DefectTooDeep, Offset: 81}},
			strings.Repeat("[", 64) + strings.Repeat("]", 64),
		},
		{
			"very deep", `{"job":"j","data":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
			[]event.Defect{{Kind: event.DefectTooDeep, Offset: 81}},
			strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		},
		{
			"ten of many", `{"job":"j","data":[` + strings.Repeat("NaN,", 20) + `0]}`,
			[]event.Defect{},
			`[` + strings.Repeat("NaN,", 20) + `0]`,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e, err := event.Decode([]byte(row.body))
			if err != nil || string(e.Body) != row.body || string(e.Data) != row.data {
				t.Fatalf("error, body, data = %v, %q, %q, want none, %q, %q", err, e.Body, e.Data, row.body, row.data)
			}
			if row.name == "ten of many" {
				if len(e.Defects) < 10 || len(e.Defects) > 11 {
					t.Errorf("got %d defects, want 10", len(e.Defects))
				}
				return
			}
			if !reflect.DeepEqual(e.Defects, row.want) {
				t.Errorf("defects = %+v, want %+v", e.Defects, row.want)
			}
		})
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
			t.Errorf("%s: allocated %d bytes (%v) for a body of %d, want at most %d", row.name, allocated, err, len(body), 64<<10)
		}
	}
}

// TestMemoryOfManyNames is fault D1. It wants memory that does not grow with the number of names.
func TestMemoryOfManyNames(t *testing.T) { //nolint:paralleltest // counts the memory of the whole process
	var names strings.Builder
	for i := range 99_000 {
		fmt.Fprintf(&names, `"%d":0,`, i)
	}
	rows := []struct {
		name, body string
		accepted   bool
	}{
		{"in data", `{"job":"j","data":{` + names.String() + `"":0}}`, true},
		{"in data, with a defect", `{"job":"j","data":{` + names.String() + `"":NaN}}`, true},
		{"unknown", `{` + names.String() + `"job":"j"}`, true},
		{"in results", `{"job":"j","results":{` + names.String() + `"":0}}`, false},
	}
	for _, row := range rows {
		body := []byte(row.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := event.Decode(body)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; (err == nil) != row.accepted || allocated > memoryFactor*2<<20 {
			t.Errorf("%s: allocated %d bytes with error %v, want at most %d, accepted %t", row.name, allocated, err, memoryFactor*2<<20, row.accepted)
		}
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
			t.Errorf("body = %.80q, want it unchanged", body)
		}
	}
}
