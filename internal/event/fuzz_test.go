package event_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/go-json-experiment/json/jsontext"
)

// planted is a token that no fuzzer guesses.
const planted = "pl4nted-t0ken-7c1fe9"

// seed adds every text that the other tests know.
func seed(f *testing.F) {
	f.Helper()
	for _, text := range hostile(f) {
		if len(text) < 10_000 {
			f.Add(text)
		}
	}
	for _, name := range []string{"00-documented-sample.json", "03-everything.json", "07-face-swap.json", "17-avatar.json", "23-caption.json"} {
		f.Add(example(f, name))
	}
}

func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		e, err := event.Decode(body)
		if !bytes.Equal(body, before) {
			t.Fatalf("body = %q, want it unchanged: %q", body, before)
		}
		if err != nil {
			if !isMalformed(err) && !isInvalid(err) {
				t.Fatalf("error = %T %v, want a MalformedError or InvalidError", err, err)
			}
			return
		}
		if !bytes.Equal(e.Body, before) || e.Job == "" || len(e.Job) > event.MaxJobBytes || len(e.ResultURL) > event.MaxURLBytes {
			t.Fatalf("event = %+v, want the body and a job and a result_url within the limits", e)
		}
		if len(e.Defects) == 0 {
			checkReformatted(t, e)
		}
		checkImages(t, e)
		if _, err := event.Redact(body); err != nil {
			t.Fatalf("Redact error = %v, want none for a decoded body", err)
		}
	})
}

// checkReformatted checks that the same results in another form have the same digest.
func checkReformatted(t *testing.T, e event.Event) {
	t.Helper()
	form := jsontext.Value(bytes.Clone(e.Body))
	if err := form.Format(jsontext.ReorderRawObjects(true), jsontext.Multiline(true), jsontext.EscapeForHTML(true)); err != nil {
		t.Fatal(err)
	}
	other, err := event.Decode(form)
	if err != nil || other.Digest != e.Digest || other.Job != e.Job {
		t.Fatalf("digest of %s = %s (%v), want %s, as of %s", form, other.Digest, err, e.Digest, e.Body)
	}
}

// checkImages checks URLs, pointers and the limit of images.
func checkImages(t *testing.T, e event.Event) {
	t.Helper()
	images, omitted := e.Images()
	if len(images) > event.MaxResults || omitted > 0 && len(images) < event.MaxResults {
		t.Fatalf("got %d images and %d more, want at most %d", len(images), omitted, event.MaxResults)
	}
	for _, image := range images {
		if !strings.HasPrefix(strings.ToLower(image.URL), "http") || !strings.HasPrefix(image.Pointer, "/result") {
			t.Fatalf("image = %+v, want an http URL below /result", image)
		}
		if !jsontext.Pointer(image.Pointer).IsValid() {
			t.Fatalf("pointer = %q, want a valid one", image.Pointer)
		}
	}
}

func FuzzRedact(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		plain, err := event.Redact(text)
		if err != nil {
			if !isMalformed(err) {
				t.Fatal(err)
			}
			return
		}
		if !jsontext.Value(plain).IsValid() {
			t.Fatalf("got %s, want valid JSON", plain)
		}
		body := []byte(`{"data":{"around":` + string(text) + `,"webhooks":{"complete":"` + planted + `","all":["` + planted + `",` + string(text) + `]}},` +
			`"text":"https://h/webhooks/deep-image/` + planted + `"}`)
		copied, err := event.Redact(body)
		if err != nil && !isMalformed(err) { // the nesting may have become too deep
			t.Fatal(err)
		}
		if err == nil && (bytes.Contains(copied, []byte(planted)) || !jsontext.Value(copied).IsValid()) {
			t.Fatalf("got %s, want valid JSON without %s", copied, planted)
		}
	})
}

// FuzzRedactText puts a token where texts have one, amid anything.
func FuzzRedactText(f *testing.F) {
	f.Add("see https://h", "?a=b", 0)
	f.Add("%25%2", "%", 1)
	f.Add("https://u:p", "@h/", 2)
	f.Add("{\"a\":", "}", 3)
	f.Fuzz(func(t *testing.T, before, after string, form int) {
		forms := []string{
			"/webhooks/deep-image/" + planted, "?token=" + planted, "://" + planted + "@", "%2fWebhooks%2Fdeep-image%2F" + planted,
			"%3FX-Amz-Signature%3D" + planted, `\/webhooks\/deep-image\/` + planted,
		}
		text := before + forms[uint(form)%uint(len(forms))] + after
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return // no UTF-8
		}
		copied, err := event.Redact(quoted)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(copied), planted) {
			t.Fatalf("Redact(%s) = %s, want no token in it", quoted, copied)
		}
		if strings.Contains(event.RedactURL(text), planted) {
			t.Fatalf("RedactURL(%s) = %s, want no token in it", text, event.RedactURL(text))
		}
	})
}
