// Package apitest checks the responses in tests against the specification.
package apitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// maxResponse bounds how much of a response is read, in bytes.
const maxResponse = 1 << 20

// Document is the parsed specification.
type Document struct {
	OpenAPI *openapi3.T
	paths   map[string]*regexp.Regexp // of the requests for each path
}

// Load parses the specification and checks that it is valid, with its examples.
func Load(t testing.TB) *Document {
	t.Helper()
	text, err := api.Specification()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("parsing the specification: error = %v, want none", err)
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Fatalf("validating the specification: error = %v, want none", err)
	}
	return &Document{OpenAPI: document, paths: compile(document.Paths)}
}

func compile(paths *openapi3.Paths) map[string]*regexp.Regexp {
	parameter := regexp.MustCompile(`\\\{[^{}]+\\\}`)
	compiled := make(map[string]*regexp.Regexp)
	for path := range paths.Map() {
		pattern := parameter.ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)
		compiled[path] = regexp.MustCompile("^" + pattern + "$")
	}
	return compiled
}

// ValidateCallback returns an error unless a body matches the schema of callbacks.
func (d *Document) ValidateCallback(body any) error {
	schema := d.OpenAPI.Components.Schemas["Callback"].Value
	return schema.VisitJSON(body, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors())
}

// Validate returns an error unless a response to a request with this method and raw path, without the query, is specified. The
// body can still be read afterwards.
func (d *Document) Validate(method, path string, response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("reading the response: %w", err)
	}
	response.Body = readAgain{bytes.NewReader(body), response.Body}
	route := d.route(method, path)
	request, err := http.NewRequestWithContext(context.Background(), route.Method, "http://receiver.test/", nil)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true,
			ExcludeResponseBody: strings.HasPrefix(response.Header.Get("Content-Type"), "image/"), // has no schema
		},
	})
}

type readAgain struct {
	io.Reader
	io.Closer
}

// route returns the operation of a request. A method that the path does not have has the responses of another method of
// the path. An unknown path has only the response NotFound.
func (d *Document) route(method, path string) *routers.Route {
	for template, pattern := range d.paths {
		if !pattern.MatchString(path) && !(isCallback(template) && pattern.MatchString(withoutExtraSlashes(path))) {
			continue
		}
		operations := d.OpenAPI.Paths.Value(template).Operations()
		if operation, ok := operations[method]; ok {
			return &routers.Route{Spec: d.OpenAPI, Path: template, Method: method, Operation: operation}
		}
		other := slices.Sorted(maps.Keys(operations))[0]
		return &routers.Route{Spec: d.OpenAPI, Path: template, Method: withoutBody(method), Operation: operations[other]}
	}
	unknown := openapi3.NewResponses(openapi3.WithStatus(http.StatusNotFound, d.OpenAPI.Components.Responses["NotFound"]))
	return &routers.Route{Spec: d.OpenAPI, Path: path, Method: withoutBody(method), Operation: &openapi3.Operation{Responses: unknown}}
}

// isCallback reports whether doubled and trailing slashes in the path of a request are ignored.
func isCallback(template string) bool { return strings.HasPrefix(template, "/webhooks/") }

// withoutExtraSlashes removes doubled and trailing slashes.
func withoutExtraSlashes(path string) string {
	segments := slices.DeleteFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "" })
	return "/" + strings.Join(segments, "/")
}

// withoutBody returns HEAD for HEAD, whose responses have no body, and GET for every other method.
func withoutBody(method string) string {
	if method == http.MethodHead {
		return method
	}
	return http.MethodGet
}

// Transport returns base with a check: a response that is not specified fails the test.
func (d *Document) Transport(t testing.TB, base http.RoundTripper) http.RoundTripper {
	return &transport{t: t, document: d, base: base}
}

type transport struct {
	t        testing.TB
	document *Document
	base     http.RoundTripper
}

// RoundTrip sends a request and checks its response.
func (c *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(r.URL.RequestURI(), "?")
	if err := c.document.Validate(r.Method, path, response); err != nil {
		c.t.Errorf("%s %s: response with status %d, want one of the specification: %v", r.Method, path, response.StatusCode, err)
	}
	return response, nil
}
