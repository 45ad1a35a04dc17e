package event_test

import (
	"fmt"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/go-cmp/cmp"
)

func TestConfirm(t *testing.T) {
	t.Parallel()
	const reported = "https://storage.example/a.png?signature=new"
	rows := []struct {
		name, body string
		want       []string // URLs of images
		ignored    int
	}{
		{name: "result_url alone", body: `"result_url": "https://storage.example/a.png"`, want: []string{reported}},
		{name: "no result", body: `"result_url": null`, want: []string{reported}},
		{name: "another result_url", body: `"result_url": "https://evil.example/x.png"`, want: []string{reported}},
		{
			name: "A9 results on the host of the result",
			body: `"result_url": "https://storage.example/a.png?signature=old", "results": ["https://storage.example/a.png", "https://STORAGE.example/b.png?s", {"url": "https://storage.example/c.png"}]`,
			want: []string{reported, "https://STORAGE.example/b.png?s", "https://storage.example/c.png"},
		},
		{
			name: "A9 results on hosts of Deep Image",
			body: `"results": {"a": "https://storage.example/a.png", "b": "https://deep-image.ai/b.png", "c": "https://x.deep-image.ai/c.png"}`,
			want: []string{reported, "https://deep-image.ai/b.png", "https://x.deep-image.ai/c.png"},
		},
		{
			name: "A9 results on other hosts",
			body: `"result_url": "https://storage.example/a.png", "results": ["https://evil.example/b.png", "https://notdeep-image.ai/c.png", "https://deep-image.ai.evil.example/d.png", "https://deep-image.ai/e.png"]`,
			want: []string{reported, "https://deep-image.ai/e.png"}, ignored: 3,
		},
		{
			name: "A9 the callback does not offer the reported result",
			body: `"result_url": "https://storage.example/other.png", "results": ["https://storage.example/b.png", "https://deep-image.ai/c.png"]`,
			want: []string{reported}, ignored: 2,
		},
		{name: "A9 results that are no images", body: `"result_url": "https://storage.example/a.png", "results": ["storage://mine", 7]`, want: []string{reported}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e, err := event.Decode([]byte(`{"job": "j", ` + row.body + `}`))
			if err != nil {
				t.Fatal(err)
			}
			confirmed, _, ignored := e.Confirm(reported)
			var got []string
			images, omitted := confirmed.Images()
			for _, image := range images {
				got = append(got, image.URL)
			}
			if diff := cmp.Diff(row.want, got); diff != "" || ignored != row.ignored || omitted != 0 {
				t.Errorf("ignored = %d, omitted = %d, want %d, 0; images (-want +got):\n%s", ignored, omitted, row.ignored, diff)
			}
		})
	}
	t.Run("A9 more results than an event may have", func(t *testing.T) {
		t.Parallel()
		e := event.Event{Results: []byte(`["` + reported + `"`)}
		for n := range event.MaxResults + 4 {
			e.Results = fmt.Appendf(e.Results, `,"https://deep-image.ai/%d.png"`, n)
		}
		e.Results = append(e.Results, ']')
		confirmed, _, ignored := e.Confirm(reported)
		if images, omitted := confirmed.Images(); len(images) != event.MaxResults || omitted != 0 || ignored != 5 {
			t.Errorf("images = %d, omitted = %d, ignored = %d, want %d, 0, 5", len(images), omitted, ignored, event.MaxResults)
		}
	})
}
