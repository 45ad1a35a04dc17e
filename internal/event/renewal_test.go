package event_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/go-cmp/cmp"
)

// TestRenew has rows of fault A10: a repeat of an event replaces the signatures of all its results, and nothing else.
func TestRenew(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, first, repeat string   // members of the bodies
		want                []string // URLs of the renewed event; nil if it is not renewed
	}{
		{name: "A10 result_url", first: `"result_url":"https://h/a?sig=1&sv=1"`, repeat: `"result_url":"https://h/a?sig=2&sv=1"`, want: []string{"https://h/a?sig=2&sv=1"}},
		{
			name: "A10 several results", first: `"results":[{"url":"https://h/a?sig=1&sv=1"},{"url":"https://h/b?sig=1&sv=1"}]`,
			repeat: `"results":[{"url":"https://h/a?sig=2&sv=1"},{"url":"https://h/b?sig=3&sv=1"}]`, want: []string{"https://h/a?sig=2&sv=1", "https://h/b?sig=3&sv=1"},
		},
		{
			name: "A10 result_url and results", first: `"result_url":"https://h/a?sig=1&sv=1","results":{"x":"https://h/b?sig=1&sv=1","y":7,"z":"https://h/c"}`,
			repeat: `"result_url":"https://h/a?sig=1&sv=1","results":{"x":"https://h/b?sig=2&sv=1","y":7,"z":"https://h/c"}`,
			want:   []string{"https://h/a?sig=1&sv=1", "https://h/b?sig=2&sv=1", "https://h/c"},
		},
		{
			name: "A10 result_url that is no image", first: `"result_url":"storage://a","results":["https://h/b?sig=1&sv=1"]`,
			repeat: `"result_url":"storage://a","results":["https://h/b?sig=2&sv=1"]`, want: []string{"https://h/b?sig=2&sv=1"},
		},
		{name: "A10 the same signatures", first: `"results":["https://h/b?sig=1&sv=1"]`, repeat: `"results":["https://h/b?sig=1&sv=1"]`},
		{name: "A10 another host", first: `"result_url":"https://h/b?sig=1&sv=1"`, repeat: `"result_url":"https://evil/b?sig=2&sv=1"`},
		{name: "A10 another number of URLs", first: `"results":["https://h/b?sig=1&sv=1","https://h/b?sig=1&sv=1"]`, repeat: `"results":["https://h/b?sig=2&sv=1","https://h/b?sig=3&sv=1"]`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			decode := func(members string) event.Event {
				e, err := event.Decode([]byte(`{"job":"j",` + members + `}`))
				if err != nil {
					t.Fatal(err)
				}
				return e
			}
			renewed, ok := decode(row.first).Renew(decode(row.repeat).SignedURLs())
			if ok != (row.want != nil) {
				t.Fatalf("renewed = %t, want %t", ok, !ok)
			}
			if !ok {
				return
			}
			var got []string
			images, _ := renewed.Images()
			for _, image := range images {
				got = append(got, image.URL)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}
