package event_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/go-json-experiment/json/jsontext"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, want string }{
		{"nothing secret", `{ "job" : "j", "list": [1, true, null, "é\/\u0061"] }`, `{"job":"j","list":[1,true,null,"é/a"]}`},
		{"no object", `["a",{}]`, `["a",{}]`},
		{"numbers stay exact", `[9007199254740993,1e400,-0,2.50,0.1e-7]`, `[9007199254740993,1e400,-0,2.50,0.1e-7]`},
		{"order of names", `{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{"webhooks", `{"data":{"webhooks":{"complete":"https://corp/h/T0KEN"}}}`, `{"data":{"webhooks":{"complete":"[redacted]"}}}`},
		{
			"webhooks of any shape", `{"webhooks":["T0KEN",{"a":[1,null,{"b":"T0KEN"}]}]}`,
			`{"webhooks":["[redacted]",{"a":["[redacted]","[redacted]",{"b":"[redacted]"}]}]}`,
		},
		{"webhooks as text", `{"Webhook_URL":"T0KEN","web\u0068ooks":"T0KEN"}`, `{"Webhook_URL":"[redacted]","webhooks":"[redacted]"}`},
		{"secret within webhooks", `{"webhooks":{"token":{"a":"T0KEN"}}}`, `{"webhooks":{"token":"[redacted]"}}`},
		{"A1 members that are not JSON", `{"job":"j","data":{"webhooks":"T0KEN",},"x":it's T0KEN,"y":[1]}`, `{"job":"j","data":"[not JSON, 21 bytes]","x":"[not JSON, 10 bytes]","y":[1]}`},
		{"A1 comma too many", `{"webhooks":{"a":"T0KEN"},"a":[1,2,]}`, `{"webhooks":{"a":"[redacted]"},"a":"[not JSON, 6 bytes]"}`},
		{
			"names that say secret", `{"api_key":"T0KEN","X-API-Key":"T0KEN","accessKeyId":"T0KEN","password":{"a":["T0KEN"]},"Authorization":"T0KEN","client_secret":7,"auth":"T0KEN"}`,
			`{"api_key":"[redacted]","X-API-Key":"[redacted]","accessKeyId":"[redacted]","password":"[redacted]","Authorization":"[redacted]","client_secret":"[redacted]","auth":"[redacted]"}`,
		},
		{"names that do not", `{"key":1,"author":"a","keyframes":2,"sign":"b","authentic":true}`, `{"key":1,"author":"a","keyframes":2,"sign":"b","authentic":true}`},
		{"our own endpoint", `["https://h/webhooks/deep-image/T0KEN?x=1"]`, `["https://h/webhooks/deep-image/[redacted]"]`},
		{"our own endpoint, other case", `["HTTPS://H/WebHooks/Deep-Image/T0KEN"]`, `["HTTPS://H/WebHooks/Deep-Image/[redacted]"]`},
		{"our own endpoint in a text", `["sent to https://h/webhooks/deep-image/T0KEN and back"]`, `["sent to https://h/webhooks/deep-image/[redacted]"]`},
		{"our own endpoint, escaped slashes", `["https:\/\/h\/webhooks\/deep-image\/T0KEN"]`, `["https://h/webhooks/deep-image/[redacted]"]`},
		{
			"our own endpoint, percent-encoded", `["https://o/?next=https%3A%2F%2Fh%2Fwebhooks%2Fdeep-image%2FT0KEN"]`,
			`["https://o/?next=https://h/webhooks/deep-image/[redacted]"]`,
		},
		{"our own endpoint, encoded thrice", `["%25252Fwebhooks%25252Fdeep%25252Dimage%25252FT0KEN"]`, `["/webhooks/deep-image/[redacted]"]`},
		{
			"our own endpoint, escaped in a text", `["x {\\\"u\\\":\\\"https:\\\\/\\\\/h\\\\/webhooks\\\\/deep-image\\\\/T0KEN\\\"}"]`,
			`["x {\\\"u\\\":\\\"https://h/webhooks/deep-image/[redacted]"]`,
		},
		{"our own endpoint without a token", `["https://h/webhooks/deep-image/","/webhooks/deep-image"]`, `["https://h/webhooks/deep-image/","/webhooks/deep-image"]`},
		{"our own endpoint, token in the query", `["https://h/webhooks/deep-image?token=T0KEN&a=b"]`, `["https://h/webhooks/deep-image?token=[redacted]&a=b"]`},
		{"user of a URL", `["https://u:T0KEN@h/a see ftp://T0KEN@h"]`, `["https://[redacted]@h/a see ftp://[redacted]@h"]`},
		{"at sign in a password", `["https://u:T0@KEN@h/a@b?c@d"]`, `["https://[redacted]@h/a@b?c@d"]`},
		{"parameters", `["https://h/a?w=1&Token=T0KEN&h=2&sig=T0KEN#access_token=T0KEN"]`, `["https://h/a?w=1&Token=[redacted]&h=2&sig=[redacted]#access_token=[redacted]"]`},
		{
			"signed for S3", `["https://b.s3.amazonaws.com/a.png?X-Amz-Credential=T0KEN%2Feu&X-Amz-Date=20260521&X-Amz-Signature=T0KEN&v=3"]`,
			`["https://b.s3.amazonaws.com/a.png?X-Amz-Credential=[redacted]&X-Amz-Date=[redacted]&X-Amz-Signature=[redacted]&v=3"]`,
		},
		{"signed for Google", `["https://storage/a?GoogleAccessId=a&X-Goog-Signature=T0KEN"]`, `["https://storage/a?GoogleAccessId=a&X-Goog-Signature=[redacted]"]`},
		{"parameters in a text", `["use token=T0KEN, then a=b"]`, `["use token=[redacted] then a=b"]`},
		{"parameters, encoded", `["u=https%3A%2F%2Fh%2F%3Fkey%3DT0KEN%26a%3Db"]`, `["u=https://h/?key=[redacted]&a=b"]`},
		{"percent signs that are none", `["100%","5 % of a","%zz%2","200%"]`, `["100%","5 % of a","%zz%2","200%"]`},
		{
			"JSON in a string", `{"data":"{\"url\": \"u\", \"webhooks\":{\"complete\":\"https://corp/T0KEN\"}}"}`,
			`{"data":"{\"url\":\"u\",\"webhooks\":{\"complete\":\"[redacted]\"}}"}`,
		},
		{"JSON in JSON in a string", `["[\"{\\\"api_key\\\":\\\"T0KEN\\\"}\"]"]`, `["[\"{\\\"api_key\\\":\\\"[redacted]\\\"}\"]"]`},
		{"JSON too deep in strings", `["[\"[\\\"[\\\\\\\"T0KEN\\\\\\\"]\\\"]\"]"]`, `["[\"[\\\"... [11 bytes]\\\"]\"]"]`},
		{"JSON string in a string", `{"data":"\"{\\\"api_key\\\":\\\"T0KEN\\\"}\""}`, `{"data":"\"{\\\"api_key\\\":\\\"[redacted]\\\"}\""}`},
		{"D10 JSON in a text", `["sent {\"api_key\": \"T0KEN\"} to it"]`, `["sent {\"api_key\":[redacted]"]`},
		{"D10 JSON in a text in a string", `["[\"sent {\\\"password\\\":\\\"T0KEN\\\"}\"]"]`, `["[\"sent {\\\"password\\\":[redacted]\"]"]`},
		{"D10 escaped JSON in a text", `["x {\\\"webhooks\\\":{\\\"complete\\\":\\\"https://corp/T0KEN\\\"}}"]`, `["x {\\\"webhooks\\\":[redacted]"]`},
		{"D10 percent-encoded JSON", `["q=%7B%22api_key%22%3A%22T0KEN%22%7D"]`, `["q={\"api_key\":[redacted]"]`},
		{"D10 other quotation marks", `["x {'secret': 'T0KEN'}"]`, `["x {'secret':[redacted]"]`},
		{"D10 harmless members in a text", `["x {\"width\":100} at 10:20"]`, `["x {\"width\":100} at 10:20"]`},
		{"unpaired surrogates", `["\ud83d",{"\udc00":"a\ud83dx\u00e9"}]`, `["�",{"�":"a�xé"}]`},
		{"invalid UTF-8", "[\"M\xfcller \xed\xa0\xbd\"]", `["M�ller ���"]`},
		{"words that JSON does not have", `[NaN,{"a":-Infinity},01,True]`, `["NaN",{"a":"-Infinity"},"01","True"]`},
		{"byte order mark", "\xef\xbb\xbf{\"token\":\"T0KEN\"}", `{"token":"[redacted]"}`},
		{"duplicate names", `{"width":1,"width":2,"api_key":"T0KEN","api_key":"T0KEN"}`, `{"width":1,"width #1":2,"api_key":"[redacted]","api_key #2":"[redacted]"}`},
		{"control characters and false escapes", "[\"a\tb\\x41\"]", `["a\tb\\x41"]`},
		{
			"too deep", strings.Repeat(`{"a":`, 65) + `"T0KEN"` + strings.Repeat("}", 65),
			strings.Repeat(`{"a":`, 63) + `"[nested too deep]"` + strings.Repeat("}", 63),
		},
		{"secret beside a defect", `{"a":NaN,"webhooks":{"complete":"T0KEN"}}`, `{"a":"NaN","webhooks":{"complete":"[redacted]"}}`},
		{"no JSON in a string", `["[sic] a cat, {subject}"]`, `["[sic] a cat, {subject}"]`},
		{"nearly JSON in a string", `["{'webhooks':{'complete':'T0KEN'}}"]`, `["... [33 bytes]"]`},
		{"secret in a name", `{"https://h/webhooks/deep-image/T0KEN":1}`, `{"https://h/webhooks/deep-image/[redacted] #1":"[redacted]"}`},
		{
			"names that become the same", `{"://T0KEN1@":1,"://T0KEN2@":2,"://[redacted]@ #2":3,"://[redacted]@ #4":4}`,
			`{"://[redacted]@ #1":1,"://[redacted]@ #2":2,"://[redacted]@ #2 #3":3,"://[redacted]@ #4":4}`,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := event.Redact([]byte(row.body))
			if err != nil || string(got) != row.want {
				t.Errorf("error = %v\n got %s\nwant %s", err, got, row.want)
			}
			again, err := event.Redact(got)
			if err != nil || strings.Contains(string(again), "T0KEN") {
				t.Errorf("again: error = %v, got %s, want no token in it", err, again)
			}
		})
	}
}

// However deep JSON is in strings, no secret in it is shown.
func TestRedactAtAnyDepth(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{`{"api_key":"T0KEN"}`, `{"data":{"webhooks":{"complete":"https://corp/T0KEN"}}}`, `see {"password":"T0KEN"}`} {
		body := []byte(secret)
		for depth := range 9 {
			body, _ = jsontext.AppendQuote(nil, body)
			for _, document := range [][]byte{body, []byte(`{"data":` + string(body) + `}`), []byte(`["x ` + string(body[1:len(body)-1]) + `"]`)} {
				got, err := event.Redact(document)
				if err != nil || bytes.Contains(got, []byte("T0KEN")) {
					t.Errorf("D10 depth %d: Redact(%s) = %s, error %v; want no secret", depth, document, got, err)
				}
			}
		}
	}
}

func TestRedactShortens(t *testing.T) {
	t.Parallel()
	image := strings.Repeat("iVBORw0K", 1000)
	rows := []struct{ name, body, want string }{
		{"longest", `["` + strings.Repeat("x", 1024) + `"]`, `["` + strings.Repeat("x", 1024) + `"]`},
		{"too long", `["` + strings.Repeat("x", 1025) + `"]`, `["` + strings.Repeat("x", 128) + `... [1025 bytes]"]`},
		{"inline image", `["base64,` + image + `"]`, `["base64,` + image[:121] + `... [8007 bytes]"]`},
		{"between two characters", `["` + strings.Repeat("€", 400) + `"]`, `["` + strings.Repeat("€", 42) + `... [1200 bytes]"]`},
		{"escapes at the end of the window", `["x` + strings.Repeat(`\ud83d\ude00`, 400) + `"]`, `["x` + strings.Repeat("😀", 31) + `... [4801 bytes]"]`},
		{"backslashes at the end of the window", `["` + strings.Repeat(`\\`, 3000) + `"]`, `["` + strings.Repeat(`\\`, 128) + `... [6000 bytes]"]`},
		{"signed URL that is short without its signature", `["https://h/a?w=1&signature=` + strings.Repeat("5", 2000) + `"]`, `["https://h/a?w=1&signature=[redacted]"]`},
		{"secret at the beginning", `["https://u:T0KEN@h/` + strings.Repeat("x", 9000) + `"]`, `["https://[redacted]@h/` + strings.Repeat("x", 107) + `... [9018 bytes]"]`},
		{"long JSON in a string", `["{\"webhooks\":\"T0KEN\",\"url\":\"` + image + `\"}"]`, `["... [8037 bytes]"]`},
		{"long name", `{"` + strings.Repeat("n", 2000) + `":1}`, `{"` + strings.Repeat("n", 128) + `... [2000 bytes] #1":1}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := event.Redact([]byte(row.body))
			if err != nil || string(got) != row.want {
				t.Errorf("error = %v\n got %s\nwant %s", err, got, row.want)
			}
		})
	}
}

// TestRedactHostile redacts every text whose grammar is that of JSON into valid JSON, and refuses others.
func TestRedactHostile(t *testing.T) {
	t.Parallel()
	for name, text := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, decodeErr := event.Decode(text)
			copied, err := event.Redact(text)
			if err != nil {
				if !isMalformed(err) || !isMalformed(decodeErr) {
					t.Errorf("error = %v, Decode error = %v, want a MalformedError of both or neither", err, decodeErr)
				}
				return
			}
			if !jsontext.Value(copied).IsValid() {
				t.Errorf("got %s, want valid JSON", copied)
			}
			if again, err := event.Redact(copied); err != nil || !bytes.Equal(again, copied) {
				t.Errorf("again: error = %v\n got %s\nwant %s", err, again, copied)
			}
		})
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"plain", "https://deep-image.ai/images/a.png", "https://deep-image.ai/images/a.png"},
		{"port", "http://[::1]:8080/a%20b", "http://[::1]:8080/a%20b"},
		{"storage", "storage://shop/a.png", "storage://shop/a.png"},
		{"query", "https://h/a.png?v=1&sig=T0KEN", "https://h/a.png?[redacted]"},
		{"empty query", "https://h/a.png?", "https://h/a.png"},
		{"fragment", "https://h/a.png#T0KEN", "https://h/a.png"},
		{"user", "https://u:T0KEN@h/a", "https://h/a"},
		{"all", "https://u:T0KEN@h/a?b=T0KEN#T0KEN", "https://h/a?[redacted]"},
		{"our own endpoint", "https://h/webhooks/deep-image/T0KEN?b", "https://h/webhooks/deep-image/[redacted]?[redacted]"},
		{"our own endpoint, encoded", "https://h/webhooks%2Fdeep-image%2fT0KEN", "https://h/webhooks/deep-image/[redacted]"},
		{"opaque", "data:image/png;base64,T0KEN", "data:[redacted]"},
		{"no host", "https:///T0KEN", "https:[redacted]"},
		{"no URL", "T0KEN", "[redacted]"},
		{"broken", "https://h/%zz?T0KEN", "[redacted]"},
		{"control", "https://h/a\n", "[redacted]"},
		{"too long", "https://h/" + strings.Repeat("x", event.MaxURLBytes), "[redacted]"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := event.RedactURL(row.text); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
