package deepimage_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
)

const webhookAddress = `https://hooks.example.com/webhooks/deep-image/job-"x"`

func TestWebhookIsPutIn(t *testing.T) {
	t.Parallel()
	const complete = `"complete":"https://hooks.example.com/webhooks/deep-image/job-\"x\""`
	rows := []struct{ name, request, want string }{
		{name: "empty", request: `{}`, want: `{"webhooks":{` + complete + `}}`},
		{name: "empty with spaces", request: " { } \n", want: ` {"webhooks":{` + complete + `} } ` + "\n"},
		{name: "members", request: `{"url":"a","n":1.00}`, want: `{"webhooks":{` + complete + `},"url":"a","n":1.00}`},
		{name: "no webhook in webhooks", request: `{"a":1,"webhooks": { } ,"b":2}`, want: `{"a":1,"webhooks": {` + complete + ` } ,"b":2}`},
		{name: "other webhooks", request: `{"webhooks":{"progress":"p"}}`, want: `{"webhooks":{` + complete + `,"progress":"p"}}`},
		{name: "an escaped name", request: `{"web\u0068ooks":{"x":{"complete":1}}}`, want: `{"web\u0068ooks":{` + complete + `,"x":{"complete":1}}}`},
		{name: "webhooks further down", request: `{"a":{"webhooks":{"complete":"p"}}}`, want: `{"webhooks":{` + complete + `},"a":{"webhooks":{"complete":"p"}}}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, err := deepimage.WithWebhook([]byte(row.request), webhookAddress); err != nil || string(got) != row.want {
				t.Errorf("WithWebhook() = %s, %v, want %s", got, err, row.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2000": "2000", "200%": `"200%"`, "0": "", "-1": "", "+1": "", "": "", "%": "", "2.5": "", "0200": "200", "99999999999": "", "a": "",
	} {
		got, err := deepimage.Size(text)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("Size(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestRequestsThatAreNoGood(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, request string }{
		{name: "nothing", request: ""},
		{name: "null", request: "null"},
		{name: "a list", request: "[]"},
		{name: "cut off", request: `{"url":"a"`},
		{name: "two of them", request: `{}{}`},
		{name: "the same name twice", request: `{"url":"a","url":"b"}`},
		{name: "invalid UTF-8", request: "{\"url\":\"\xff\"}"},
		{name: "webhooks as a text", request: `{"webhooks":"https://example.com"}`},
		{name: "webhooks as null", request: `{"webhooks":null}`},
		{name: "a webhook", request: `{"webhooks":{"complete":"https://example.com/secret"}}`},
		{name: "a webhook by an escaped name", request: `{"webhooks":{"comple\u0074e":null}}`},
		{name: "too long", request: `{"url":"` + strings.Repeat("a", deepimage.MaxRequestBytes-20) + `"}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := deepimage.WithWebhook([]byte(row.request), webhookAddress)
			if deepimage.KindOf(err) != deepimage.KindRefused || strings.Contains(err.Error(), "example.com") {
				t.Errorf("WithWebhook() = %v, want an error of kind %s that does not repeat the request", err, deepimage.KindRefused)
			}
		})
	}
}

// FuzzWithWebhook wants all members but webhooks.complete unchanged.
func FuzzWithWebhook(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}]}`, `{"webhooks":{"x":"y"}}`, ` {"webhooks" : {} } `, `{"webhooks":{"complete":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		made, err := deepimage.WithWebhook(request, webhookAddress)
		if err != nil {
			return
		}
		var was, is map[string]any
		if json.Unmarshal(request, &was) != nil {
			return // deeper than the standard library reads
		}
		if err := json.Unmarshal(made, &is); err != nil {
			t.Fatalf("WithWebhook(%q) = %q: %v, want JSON", request, made, err)
		}
		webhooks, ok := is["webhooks"].(map[string]any)
		if !ok || webhooks["complete"] != webhookAddress {
			t.Fatalf("WithWebhook(%q) = %q, want the address in webhooks.complete", request, made)
		}
		delete(webhooks, "complete")
		if _, had := was["webhooks"]; !had && len(webhooks) == 0 {
			delete(is, "webhooks")
		}
		if !reflect.DeepEqual(was, is) {
			t.Errorf("WithWebhook(%q) = %q, want all other members unchanged", request, made)
		}
	})
}
