package event_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

func TestImages(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, members string
		want          []event.Result
	}{
		{"nothing", `"data":0`, nil},
		{"null", `"result_url":null,"results":null`, nil},
		{"empty", `"result_url":"","results":[]`, nil},
		{"storage", `"result_url":"storage://shop/a.png","results":["storage://shop/b.png"]`, nil},
		{"address", `"result_url":"https://a/1"`, list("https://a/1", "/result_url")},
		{"B7 white space around the address", `"result_url":" \n\thttps://a/1 \r\n","results":["\u00a0https://a/2 "]`, list("https://a/1", "/result_url", "https://a/2", "/results/0")},
		{"B7 stray percent signs", `"result_url":"https://a/50%.png?x=100%","results":["https://a/%zz%20%"]`, list("https://a/50%25.png?x=100%25", "/result_url", "https://a/%25zz%20%25", "/results/0")},
		{"B7 raw blank and umlaut", `"result_url":"https://a/Grüße 1.png?q=ü x"`, list("https://a/Grüße 1.png?q=ü x", "/result_url")},
		{"B7 international host", `"result_url":"https://bücher.example/1"`, list("https://bücher.example/1", "/result_url")},
		{"control character inside", `"result_url":"https://a/1\n2"`, nil},
		{"plain http, other case", `"result_url":"HTTP://A/1"`, list("HTTP://A/1", "/result_url")},
		{"text", `"results":"https://a/1"`, list("https://a/1", "/results")},
		{
			"list of texts", `"result_url":"https://a/0","results":["https://a/2","https://a/1",null,7,"x"]`,
			list("https://a/0", "/result_url", "https://a/2", "/results/0", "https://a/1", "/results/1"),
		},
		{
			"list of objects", `"results":[{"result_url":"https://a/1"},{"url":"https://a/2"},{"name":"x"}]`,
			list("https://a/1", "/results/0/result_url", "https://a/2", "/results/1/url"),
		},
		{"object", `"results":{"width":1,"url":"https://a/1"}`, list("https://a/1", "/results/url")},
		{
			"object of both", `"results":{"url":"https://a/1","result_url":"https://a/2"}`,
			list("https://a/1", "/results/url", "https://a/2", "/results/result_url"),
		},
		{
			"object and what describes its image", `"results":{"source":"https://b/in","data":{"url":"https://b/in"},"result_url":"https://a/1","more":["https://b/2"]}`,
			list("https://a/1", "/results/result_url"),
		},
		{"object whose own is null", `"results":{"result_url":null,"url":"https://a/1"}`, list("https://a/1", "/results/url")},
		{"object whose own is an object", `"results":{"url":{"large":"https://a/1"}}`, list("https://a/1", "/results/url/large")},
		{
			"map to texts, in its order", `"results":{"z":"https://a/1","a":"https://a/2"}`,
			list("https://a/1", "/results/z", "https://a/2", "/results/a"),
		},
		{
			"map to objects", `"results":{"z":{"url":"https://a/1"},"a":{"result_url":"https://a/2"}}`,
			list("https://a/1", "/results/z/url", "https://a/2", "/results/a/result_url"),
		},
		{
			"lists in maps in lists", `"results":[{"images":[{"files":{"png":"https://a/1"}}]},["https://a/2"]]`,
			list("https://a/1", "/results/0/images/0/files/png", "https://a/2", "/results/1/0"),
		},
		{
			"names with escapes", `"results":{"a/b~c":"https:\/\/a\/1","\u0061":{"\u0075rl":"https://a/2","x":"https://a/3"}}`,
			list("https://a/1", "/results/a~1b~0c", "https://a/2", "/results/a/url"),
		},
		{
			"repeated", `"result_url":"https://a/1","results":["https://a/1",{"url":"https://a/1"},"https://a/2"]`,
			list("https://a/1", "/result_url", "https://a/2", "/results/2"),
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			images, omitted := decoded(t, row.members).Images()
			if len(images)+len(row.want) > 0 && !reflect.DeepEqual(images, row.want) || omitted != 0 {
				t.Errorf("%+v and %d more, want %+v", images, omitted, row.want)
			}
		})
	}
}

func TestImagesTakesOnlyAddresses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"x", "/a.png", "//a/b.png", "https:", "https://", "https:///a.png", "https:a/b.png", "https:/a/b", "http://:80/a", "https://?a", "https://#a",
		"ftp://a/b", "file:///etc/passwd", "data:image/png;base64,AAAA", "base64,AAAA", "storage://a/b", "javascript:alert(1)", "blob:https://a/b",
		"https://a b/c", "https://a/\\u0000", "https://a:x/b", "https://[::1/b", "httpss://a/b",
		"https://a/" + strings.Repeat("x", event.MaxURLBytes),
	} {
		e := decoded(t, `"results":["`+text+`"]`)
		if images, _ := e.Images(); len(images) != 0 {
			t.Errorf("images of %.80q = %v, want none", text, images)
		}
	}
}

func TestImagesAreBounded(t *testing.T) {
	t.Parallel()
	var addresses []string
	for i := range event.MaxResults + 23 {
		addresses = append(addresses, fmt.Sprintf(`"https://a/%d"`, i))
	}
	listed := strings.Join(addresses, ",")
	images, omitted := decoded(t, `"result_url":"https://a/0","results":[`+listed+`,`+listed+`]`).Images()
	if len(images) != event.MaxResults || omitted != 23 || images[99].URL != "https://a/99" {
		t.Errorf("got %d images and %d more, want %d and 23 more", len(images), omitted, event.MaxResults)
	}
}

func TestImagesOfLongestAddress(t *testing.T) {
	t.Parallel()
	address := "https://a/" + strings.Repeat("x", event.MaxURLBytes-len("https://a/"))
	escaped := strings.ReplaceAll(address, "x", `\u0078`)
	images, _ := decoded(t, `"results":["`+escaped+`"]`).Images()
	if len(images) != 1 || images[0].URL != address {
		t.Errorf("got %d images, want 1", len(images))
	}
}

// TestImagesOfNoJSON has results that Decode has not checked.
func TestImagesOfNoJSON(t *testing.T) {
	t.Parallel()
	e := event.Event{ResultURL: "https://a/0", Results: []byte(`["https://a/1", oops`)}
	if images, _ := e.Images(); len(images) != 2 {
		t.Errorf("images = %+v, want the 2 before the defect", images)
	}
}

// decoded returns the event of a body with these members.
func decoded(t *testing.T, members string) event.Event {
	t.Helper()
	e, err := event.Decode([]byte(`{"job":"j",` + members + `}`))
	if err != nil {
		t.Fatalf("%s: error = %v, want none", members, err)
	}
	return e
}

// list makes results of addresses and pointers in turn.
func list(pairs ...string) []event.Result {
	var results []event.Result
	for i := 0; i < len(pairs); i += 2 {
		results = append(results, event.Result{URL: pairs[i], Pointer: pairs[i+1]})
	}
	return results
}
