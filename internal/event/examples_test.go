package event_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/go-json-experiment/json/jsontext"
)

// examples is the folder of the callbacks that the specification shows.
const examples = "../../api/examples"

// example reads one of them.
func example(tb testing.TB, name string) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// pointers lists where the images of an event were found.
func pointers(images []event.Result) []string {
	var places []string
	for _, image := range images {
		places = append(places, image.Pointer)
	}
	return places
}

func TestExamples(t *testing.T) {
	t.Parallel()
	one := []string{"/result_url"}
	want := map[string][]string{
		"00-documented-sample.json":          one,
		"01-upscale-to-size.json":            one,
		"02-upscale-percent.json":            one,
		"03-everything.json":                 one,
		"04-text-to-image-no-url.json":       {"/result_url", "/results/1"},
		"05-generate-minimal.json":           {"/results/0"},
		"06-generated-scene.json":            one,
		"07-face-swap.json":                  {"/result_url", "/results/1/result_url"},
		"08-face-swap-described.json":        {"/results/url"},
		"09-inpainting.json":                 one,
		"10-prompt-edit-context-images.json": one,
		"11-car-dealer-two-contexts.json":    {"/results/0/url", "/results/1/url"},
		"12-file-size-mixed-types.json":      one,
		"13-nsfw-vendor-typo.json":           nil,
		"14-fit-object.json":                 one,
		"15-document.json":                   one,
		"16-real-estate.json":                one,
		"17-avatar.json":                     {"/results/regular", "/results/mirrored"},
		"18-preset.json":                     one,
		"19-storage-to-storage.json":         nil,
		"20-url-to-storage.json":             nil,
		"21-inline-base64.json":              one,
		"22-form-upload-no-url.json":         one,
		"23-caption.json":                    {"/result_url", "/results/plain/result_url", "/results/captioned/result_url"},
		"24-transparent.json":                one,
		"25-outpainting.json":                one,
	}
	files, err := filepath.Glob(examples + "/*.json")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d examples, want %d (%v)", len(files), len(want), err)
	}
	for name, places := range want {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkExample(t, example(t, name), places)
		})
	}
}

// checkExample decodes a body, lists its images and redacts it.
func checkExample(t *testing.T, body []byte, places []string) {
	t.Helper()
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(e.Body, body) || len(e.Job) != 36 || jsontext.Value(e.Data).Kind() != '{' {
		t.Errorf("event = %+v, want body, job and data as sent", e)
	}
	images, omitted := e.Images()
	if got := pointers(images); !reflect.DeepEqual(got, places) || omitted != 0 {
		t.Errorf("images at %q and %d more, want %q", got, omitted, places)
	}
	redacted, err := event.Redact(body)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(redacted, []byte("REPLACE-ME")) {
		t.Errorf("got %s, want no token in it", redacted)
	}
	if shown, err := event.Decode(redacted); err != nil || shown.Job != e.Job || shown.Digest != e.Digest {
		t.Errorf("event of %s (%v), want the same job", redacted, err)
	}
}
