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
		{"empty", `{}`, `{"webhooks":{` + complete + `}}`},
		{"empty with spaces", " { } \n", ` {"webhooks":{` + complete + `} } ` + "\n"},
		{"members", `{"url":"a","n":1.00}`, `{"webhooks":{` + complete + `},"url":"a","n":1.00}`},
		{"no webhook in webhooks", `{"a":1,"webhooks": { } ,"b":2}`, `{"a":1,"webhooks": {` + complete + ` } ,"b":2}`},
		{"other webhooks", `{"webhooks":{"progress":"p"}}`, `{"webhooks":{` + complete + `,"progress":"p"}}`},
		{"an escaped name", `{"web\u0068ooks":{"x":{"complete":1}}}`, `{"web\u0068ooks":{` + complete + `,"x":{"complete":1}}}`},
		{"webhooks further down", `{"a":{"webhooks":{"complete":"p"}}}`, `{"webhooks":{` + complete + `},"a":{"webhooks":{"complete":"p"}}}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, err := deepimage.WithWebhook([]byte(row.request), webhookAddress); err != nil || string(got) != row.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, row.want)
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
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}

func TestRequestsThatAreNoGood(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, request, says string }{
		{"nothing", "", "JSON object"},
		{"null", "null", "JSON object"},
		{"a list", "[]", "JSON object"},
		{"cut off", `{"url":"a"`, "JSON object"},
		{"two of them", `{}{}`, "JSON object"},
		{"the same name twice", `{"url":"a","url":"b"}`, "JSON object"},
		{"invalid UTF-8", "{\"url\":\"\xff\"}", "JSON object"},
		{"webhooks as a text", `{"webhooks":"https://example.com"}`, "must be an object"},
		{"webhooks as null", `{"webhooks":null}`, "must be an object"},
		{"a webhook", `{"webhooks":{"complete":"https://example.com/secret"}}`, "names a webhook"},
		{"a webhook by an escaped name", `{"webhooks":{"comple\u0074e":null}}`, "names a webhook"},
		{"too long", `{"url":"` + strings.Repeat("a", deepimage.MaxRequestBytes-20) + `"}`, "32 MiB"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := deepimage.WithWebhook([]byte(row.request), webhookAddress)
			if deepimage.KindOf(err) != deepimage.KindRefused || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "example.com") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whatever a request is, with our webhook it is the same request beside that.
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
			t.Fatalf("%q became %q: %v", request, made, err)
		}
		webhooks, ok := is["webhooks"].(map[string]any)
		if !ok || webhooks["complete"] != webhookAddress {
			t.Fatalf("%q became %q", request, made)
		}
		delete(webhooks, "complete")
		if _, had := was["webhooks"]; !had && len(webhooks) == 0 {
			delete(is, "webhooks")
		}
		if !reflect.DeepEqual(was, is) {
			t.Errorf("%q became %q", request, made)
		}
	})
}
