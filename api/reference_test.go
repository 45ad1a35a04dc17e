package api_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/api/apitest"
)

// The reference leaves out no path, method, parameter, answer or schema of the specification.
func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	reference, err := api.Read()
	if err != nil {
		t.Fatal(err)
	}
	document := apitest.Load(t).OpenAPI
	told := map[string]api.Operation{}
	for _, group := range reference.Groups {
		if group.Description == "" || len(group.Operations) == 0 {
			t.Errorf("group %+v", group)
		}
		for _, o := range group.Operations {
			told[o.Method+" "+o.Path] = o
		}
	}
	count := 0
	for path, item := range document.Paths.Map() {
		for method, want := range item.Operations() {
			count++
			got, ok := told[method+" "+path]
			if !ok || got.Summary != want.Summary || got.ID != want.OperationID || (got.Request != nil) != (want.RequestBody != nil) {
				t.Errorf("%s %s: got %+v", method, path, got)
			}
			if len(got.Parameters) != len(want.Parameters) || len(got.Answers)+len(got.Failures) != want.Responses.Len() {
				t.Errorf("%s %s: %d parameters, %d answers, %d failures", method, path, len(got.Parameters), len(got.Answers), len(got.Failures))
			}
			for _, p := range got.Parameters {
				if p.Name == "" || p.Type.String() == "" || p.In != "path" && p.In != "query" {
					t.Errorf("%s %s: parameter %+v", method, path, p)
				}
			}
		}
	}
	if len(told) != count {
		t.Errorf("%d operations are told, %d specified", len(told), count)
	}
	for name := range document.Components.Schemas {
		if !slices.ContainsFunc(reference.Schemas, func(s api.Schema) bool { return s.Name == name && s.Type.String() != "" }) {
			t.Errorf("schema %s is missing", name)
		}
	}
}

// Types are told in words, examples as JSON with their keys in order.
func TestReferenceReadsWell(t *testing.T) {
	t.Parallel()
	reference, err := api.Read()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, s := range reference.Schemas {
		for _, p := range s.Properties {
			types[s.Name+" "+p.Name] = p.Type.String()
		}
	}
	for name, want := range map[string]string{
		"Callback result_url":            "string or null, up to 8192 characters",
		"EventSummary status":            "EventStatus",
		"EventList events":               "list of EventSummary",
		"Stats disks[].free_bytes":       "integer",
		"Stats handlers[].reasons":       "object of integer, from 0",
		"Receipt status":                 "accepted | duplicate",
		"Ready status":                   "ready",
		"Step changed_at":                "string, date-time",
		"EventDetail payload":            "anything",
		"RejectionList rejections":       "list of object",
		"RejectionList rejections[].cut": "boolean",
	} {
		if types[name] != want {
			t.Errorf("%s is %q, want %q", name, types[name], want)
		}
	}
	const want = "{\n  \"id\": \"0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11\",\n  \"job\": \"ce0e7624-634e-11ee-a699-0242ac14000b\",\n  \"status\": \"accepted\"\n}"
	examples := reference.Groups[0].Operations[0].Answers[0].Examples
	if len(examples) != 2 || examples[0].Text != want || examples[0].Summary != "accepted" || !json.Valid([]byte(examples[1].Text)) {
		t.Errorf("examples %+v", examples)
	}
}
