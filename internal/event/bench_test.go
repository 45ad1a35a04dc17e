package event_test

import (
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// inline is a callback that echoes an inline image of about the given length.
func inline(length int) []byte {
	return []byte(`{"job":"7d1f2a34-5b6c-11f0-9e2d-0242ac120004","data":{"url":"base64,` +
		strings.Repeat("iVBORw0K", length/8) + `","width":"200%"},"result_url":"https://deep-image.ai/images/a.png","results":null}`)
}

func BenchmarkDecode(b *testing.B) {
	rows := []struct {
		name string
		body []byte
	}{
		{"documented", example(b, "00-documented-sample.json")},
		{"everything", example(b, "03-everything.json")},
		{"results", example(b, "07-face-swap.json")},
		{"inline 32 MiB", inline(32 << 20)},
	}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			b.SetBytes(int64(len(row.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := event.Decode(row.body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRedact(b *testing.B) {
	for name, body := range map[string][]byte{"documented": example(b, "00-documented-sample.json"), "inline 32 MiB": inline(32 << 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := event.Redact(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
