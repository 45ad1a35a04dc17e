package notification_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/notification"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encode returns the JSON of the document of an event with this body.
func encode(t *testing.T, body string, artifacts ...event.Artifact) string {
	t.Helper()
	e, err := event.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	e.ID = "019ab6f2-0000-7000-8000-000000000001"
	e.Received = time.Date(2026, 11, 24, 13, 0, 0, 123456000, time.FixedZone("", 3600))
	e.Artifacts = artifacts
	made, err := notification.New(e, event.Redact)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNew(t *testing.T) {
	t.Parallel()
	const head = `{"id":"019ab6f2-0000-7000-8000-000000000001","job":"j","received_at":"2026-11-24T12:00:00.123456Z",`
	rows := []struct{ name, body, want string }{
		{name: "nothing", body: `{"job":"j"}`, want: `"result_urls":[],"data":null,"artifacts":[]}`},
		{name: "null", body: `{"job":"j","result_url":null,"results":null,"data":null}`, want: `"result_urls":[],"data":null,"artifacts":[]}`},
		{
			name: "data of any shape", body: `{"job":"j","data":[1.50, "a"]}`,
			want: `"result_urls":[],"data":[1.50,"a"],"artifacts":[]}`,
		},
		{
			name: "data with our URL", body: `{"job":"j","data":{"width":1,"webhooks":{"complete":"https://me/T0KEN"}}}`,
			want: `"result_urls":[],"data":{"width":1,"webhooks":{"complete":"[redacted]"}},"artifacts":[]}`,
		},
		{
			name: "signed URLs", body: `{"job":"j","result_url":"https://u:T0KEN@h/a.png?X-Amz-Signature=T0KEN","results":["https://h/b.png#T0KEN"]}`,
			want: `"result_urls":["https://h/a.png?[redacted]","https://h/b.png"],"data":null,"artifacts":[]}`,
		},
		{
			name: "URL that is not of an image", body: `{"job":"j","result_url":"storage://s/a.png","results":["https://h/b.png"]}`,
			want: `"result_urls":["https://h/b.png","storage://s/a.png"],"data":null,"artifacts":[]}`,
		},
		{name: "not a URL", body: `{"job":"j","result_url":"T0KEN"}`, want: `"result_urls":["[redacted]"],"data":null,"artifacts":[]}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := encode(t, row.body); got != head+row.want {
				t.Errorf("\n got %s\nwant %s", got, head+row.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	names := event.Names{Input: "Größe.png", Reference: "SKU-4711"}
	made, err := notification.New(event.Event{ID: "1", Job: "j", Names: names}, event.Redact)
	if err != nil || made.Names != names {
		t.Errorf("New() has names %+v, error %v; want %+v", made.Names, err, names)
	}
	if got, want := encode(t, `{"job":"j","data":{"url":"https://h/a.png"}}`), `"job":"j","input":"a.png","received_at"`; !strings.Contains(got, want) {
		t.Errorf("document = %s, want %s in it", got, want)
	}
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	artifact := func(handler string, index int) event.Artifact {
		return event.Artifact{
			Handler: handler, Index: index, Source: "https://h/a", Key: "k", URL: "file:///k", Bytes: 7,
			SHA256: strings.Repeat("0", 64), MediaType: "image/png", Width: 2, Height: 3, Stored: time.Now(),
		}
	}
	all := []event.Artifact{artifact("download", -1), artifact("download", 1), artifact("later", 0), artifact("download", 0)}
	got := encode(t, `{"job":"j"}`, all...)
	one := `,"key":"k","url":"file:///k","bytes":7,"sha256":"` + strings.Repeat("0", 64) + `","media_type":"image/png","width":2,"height":3}`
	want := `"artifacts":[{"handler":"download","index":0` + one + `,{"handler":"later","index":0` + one + `,{"handler":"download","index":1` + one + `]}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	slices.Reverse(all)
	if again := encode(t, `{"job":"j"}`, all...); again != got {
		t.Errorf("document in another order\n got %s\nwant %s", again, got)
	}
}

func TestIndexRefersToResultURLs(t *testing.T) {
	t.Parallel()
	e, err := event.Decode([]byte(`{"job":"j","result_url":"storage://s","results":{"a":{"url":"https://h/0"},"b":"https://h/1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	made, err := notification.New(e, event.Redact)
	if err != nil {
		t.Fatal(err)
	}
	images, _ := e.Images()
	for index, image := range images {
		if made.ResultURLs[index] != image.URL {
			t.Errorf("URL %d = %s, want %s", index, made.ResultURLs[index], image.URL)
		}
	}
}

func TestRedactError(t *testing.T) {
	t.Parallel()
	refusal := errors.New("no")
	made, err := notification.New(event.Event{Data: []byte(`"T0KEN"`)}, func([]byte) ([]byte, error) { return nil, refusal })
	if !errors.Is(err, refusal) || made.Data != nil {
		t.Errorf("data = %s, error = %v, want none, %v", made.Data, err, refusal)
	}
}

// A1: data that is not JSON is accepted, and does not keep an event from being sent.
func TestDataThatIsNotJSON(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, data, want string }{
		{name: "A1 template", data: `{{data}}`, want: `"[not JSON, 8 bytes]"`},
		{name: "A1 comma too many", data: `{"a":[1,],"b":2}`, want: `{"a":"[not JSON, 4 bytes]","b":2}`},
		{name: "A1 text", data: `it's`, want: `"[not JSON, 4 bytes]"`},
		{name: "A1 NaN", data: `NaN`, want: `"NaN"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			made, err := notification.New(event.Event{Data: []byte(row.data)}, event.Redact)
			if err != nil || string(made.Data) != row.want {
				t.Errorf("data = %s, error %v, want %s", made.Data, err, row.want)
			}
		})
	}
}
