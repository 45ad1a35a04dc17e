// Package apitest holds every answer that a test sees against the specification.
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

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// Document is the specification, ready to compare with.
type Document struct {
	OpenAPI *openapi3.T
	paths   map[string]*regexp.Regexp // what requests for a path of the document look like
}

// Load reads the specification and makes sure that it is valid, its examples included.
func Load(t testing.TB) *Document {
	t.Helper()
	text, err := api.Specification()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("the specification cannot be read: %v", err)
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Fatalf("the specification is not valid: %v", err)
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

// ValidateCallback says whether a body is a callback as the specification has it.
func (d *Document) ValidateCallback(body any) error {
	schema := d.OpenAPI.Components.Schemas["Callback"].Value
	return schema.VisitJSON(body, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors())
}

// Validate says whether an answer to a request with this method and path (as it
// was sent, without the query) is one that the specification has. The body can still be read afterwards.
func (d *Document) Validate(method, path string, response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
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
			ExcludeResponseBody: strings.HasPrefix(response.Header.Get("Content-Type"), "image/"), // nothing in it is specified
		},
	})
}

type readAgain struct {
	io.Reader
	io.Closer
}

// route is the operation that a request is for. A method that the path does not
// have gets the answers of the path's own; an unknown path has the answer NotFound only.
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

// withoutBody keeps HEAD, whose answers have no body to be compared, and makes a
// standard method of every other.
func withoutBody(method string) string {
	if method == http.MethodHead {
		return method
	}
	return http.MethodGet
}

// Transport is base with every answer held against the specification; an answer
// that is not in it fails the test.
func (d *Document) Transport(t testing.TB, base http.RoundTripper) http.RoundTripper {
	return &transport{t: t, document: d, base: base}
}

type transport struct {
	t        testing.TB
	document *Document
	base     http.RoundTripper
}

// RoundTrip sends a request and looks at its answer.
func (c *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(r.URL.RequestURI(), "?")
	if err := c.document.Validate(r.Method, path, response); err != nil {
		c.t.Errorf("%s %s was answered %d, not as specified: %v", r.Method, path, response.StatusCode, err)
	}
	return response, nil
}
