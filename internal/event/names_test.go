package event_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
)

func TestCleanName(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{name: "usual", text: "SKU-4711 / red", want: "SKU-4711 / red"},
		{name: "any script", text: "Größe 画像", want: "Größe 画像"},
		{name: "control characters", text: " a\x00\x1b[2Jb\r\nc\u202ed ", want: "a[2Jb  cd"},
		{name: "invalid UTF-8", text: "M\xfcller", want: "Mller"},
		{name: "nothing left", text: "\x00\xff ", want: ""},
		{name: "longest", text: strings.Repeat("x", event.MaxNameBytes), want: strings.Repeat("x", event.MaxNameBytes)},
		{name: "too long", text: strings.Repeat("é", event.MaxNameBytes), want: strings.Repeat("é", event.MaxNameBytes/2)},
		{name: "cut inside a character", text: "x" + strings.Repeat("画", 100), want: "x" + strings.Repeat("画", 66)},
	} {
		if got := event.CleanName(row.text); got != row.want {
			t.Errorf("%s: CleanName(%q) = %q, want %q", row.name, row.text, got, row.want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("é\x00\xff \u202e")
	f.Fuzz(func(t *testing.T, text string) {
		got := event.CleanName(text)
		if len(got) > event.MaxNameBytes || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x1b\x00") || event.CleanName(got) != got {
			t.Errorf("CleanName(%q) = %q, want a clean name", text, got)
		}
		if words := event.Words(got); len(words) > 32 || !slices.IsSorted(words) || slices.Contains(words, "") {
			t.Errorf("Words(%q) = %q, want at most 32 in order", got, words)
		}
	})
}

func TestInputOf(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, address, want string }{
		{name: "URL", address: "https://deep-image.ai/a/api-example.png", want: "api-example.png"},
		{name: "query and fragment", address: "https://example.com/a.jpg?X-Signature=b/c.png#d/e", want: "a.jpg"},
		{name: "escaped", address: "https://example.com/Rote%20Schuhe%20Gr%C3%B6%C3%9Fe.jpg", want: "Rote Schuhe Größe.jpg"},
		{name: "escaped slash", address: "https://example.com/..%2F..%5Cpasswd", want: "passwd"},
		{name: "escape that is broken", address: "https://example.com/100%.jpg", want: "100%.jpg"},
		{name: "escaped control character", address: "https://example.com/a%00%1b%0ab.jpg", want: "a b.jpg"},
		{name: "storage", address: "storage://shop-in/2026/may/photo.png", want: "photo.png"},
		{name: "no path", address: "https://example.com", want: ""},
		{name: "folder", address: "https://example.com/photos/", want: ""},
		{name: "dots", address: "https://example.com/a/%2e%2e", want: ""},
		{name: "inline", address: "base64,iVBORw0K/GgoA", want: ""},
		{name: "data URL", address: "data:image/png;base64,iVBORw0K/GgoA", want: ""},
		{name: "no URL", address: "photo.png", want: "photo.png"},
		{name: "too long", address: "https://example.com/" + strings.Repeat("%20", 20_000) + "a.jpg", want: ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			request, err := json.Marshal(map[string]any{"a": []int{1}, "url": row.address, "width": 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := event.InputOf(request); got != row.want {
				t.Errorf("InputOf(%s) = %q, want %q", request, got, row.want)
			}
			decoded, err := event.Decode([]byte(`{"job":"a","data":` + string(request) + `}`))
			if err != nil || decoded.Input != row.want || decoded.Reference != "" {
				t.Errorf("Decode: names = %+v, error %v; want input %q", decoded.Names, err, row.want)
			}
		})
	}
}

func TestInputOfDefectiveRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, request, want string }{
		{name: "none", request: "", want: ""},
		{name: "null", request: "null", want: ""},
		{name: "no object", request: `["url"]`, want: ""},
		{name: "no URL", request: `{"width":1}`, want: ""},
		{name: "URL of another type", request: `{"url":7}`, want: ""},
		{name: "URL deeper", request: `{"a":{"url":"https://a/b.png"}}`, want: ""},
		{name: "defect before", request: "{\"a\":NaN,\"b\":\"\xff\",\"url\":\"https://a/b.png\"}", want: "b.png"},
		{name: "surrogate without its pair", request: `{"url":"https://a/\ud800.png"}`, want: ""},
		{name: "defect behind", request: `{"url":"https://a/b.png",}`, want: "b.png"},
	} {
		if got := event.InputOf([]byte(row.request)); got != row.want {
			t.Errorf("%s: InputOf(%q) = %q, want %q", row.name, row.request, got, row.want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		names event.Names
		want  []string
	}{
		{name: "none", want: []string{}},
		{name: "both", names: event.Names{Input: "red_Shoe-4711.jpg", Reference: "SKU-4711"}, want: []string{"4711", "jpg", "red", "shoe", "sku"}},
		{name: "any script", names: event.Names{Reference: "ÄPFEL/画像"}, want: []string{"äpfel", "画像"}},
		{name: "long", names: event.Names{Reference: "x" + strings.Repeat("画", 60)}, want: []string{"x" + strings.Repeat("画", 21)}},
	} {
		if got := row.names.Words(); !slices.Equal(got, row.want) {
			t.Errorf("%s: Words = %q, want %q", row.name, got, row.want)
		}
	}
	if got := len(event.Words(strings.Join(strings.Split("abcdefghijklmnopqrstuvwxyz0123456789", ""), "-"))); got != 32 {
		t.Errorf("words of 36 = %d, want 32", got)
	}
}
