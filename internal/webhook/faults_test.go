package webhook_test

import (
	"cmp"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// TestSectionA sends the inputs of section A of the list of faults that were found from outside. Each row has the number of its fault.
func TestSectionA(t *testing.T) {
	t.Parallel()
	const path = event.WebhookPath + "/" + token
	rows := []struct {
		name, path string
		header     http.Header
		body       string
		want       int
		defects    int    // of the stored event
		stored     string // body of the stored event or rejection; body if empty
		job        string // job of the stored event; name if empty
	}{
		{name: "A1 half a surrogate pair", body: `{"job":"$","data":{"description":"summer sale \ud83d"},"result_url":"https://h/a.png"}`, want: 200, defects: 1},
		{name: "A1 raw surrogate", body: "{\"job\":\"$\",\"data\":{\"description\":\"\xed\xa0\xbd\"}}", want: 200, defects: 1},
		{name: "A1 Latin-1 byte", body: "{\"job\":\"$\",\"data\":{\"name\":\"M\xfcller\"}}", want: 200, defects: 1},
		{name: "A1 Latin-1 byte in a name", body: "{\"job\":\"$\",\"M\xfcller\":1}", want: 200, defects: 1},
		{name: "A1 NaN", body: `{"job":"$","data":{"light_parameters":{"level":NaN}},"results":null}`, want: 200, defects: 1},
		{name: "A1 minus infinity", body: `{"job":"$","data":[-Infinity,Infinity]}`, want: 200, defects: 2},
		{name: "A1 byte order mark", body: "\xef\xbb\xbf{\"job\":\"$\",\"data\":{}}", want: 200, defects: 1},
		{name: "A1 duplicate in data", body: `{"job":"$","data":{"width":100,"width":200}}`, want: 200, defects: 1},
		{name: "A1 duplicate unknown member", body: `{"job":"$","x":1,"x":2}`, want: 200, defects: 1},
		{name: "A1 deep nesting in data", body: `{"job":"$","data":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, want: 200, defects: 1},
		{name: "A1 many tokens in data", body: `{"job":"$","data":[` + strings.Repeat("0,", 30_000) + `0]}`, want: 200},
		{name: "A1 comma too many in data", body: `{"job":"$","data":{"sizes":[1,2,],},"result_url":"https://h/a.png"}`, want: 200, defects: 1},
		{name: "A1 comma missing in data", body: `{"job":"$","data":{"a":1 "b":2}}`, want: 200, defects: 1},
		{name: "A1 names without quotation marks in data", body: `{"job":"$","data":{width:10,height:20}}`, want: 200, defects: 1},
		{name: "A1 single quotation marks in data", body: `{"job":"$","data":{'width':10}}`, want: 200, defects: 1},
		{name: "A1 quotation marks in a string of data", body: `{"job":"$","data":{"title":"a "great" picture"}}`, want: 200, defects: 1},
		{name: "A1 comment in data", body: `{"job":"$","data":{/* none */"a":1}}`, want: 200, defects: 1},
		{name: "A1 template in data", body: `{"job":"$","data":{{data}},"results":null}`, want: 200, defects: 1},
		{name: "A1 unknown member of no JSON", body: `{"job":"$","note":it's "so, so",  "data":1}`, want: 200, defects: 1},
		{name: "A1 string goes on in an unknown member", body: `{"job":"$","note":"a "b" c"}`, want: 200, defects: 1},
		{name: "A1 brackets that do not match", body: `{"job":"$","data":{"a":[1}}`, want: 400},
		{name: "A1 comma too many in results", body: `{"job":"$","results":[1,]}`, want: 400},
		{name: "A1 half a surrogate pair in job", body: `{"job":"$\ud83d"}`, want: 400},
		{name: "A1 Latin-1 byte in result_url", body: "{\"job\":\"$\",\"result_url\":\"https://h/M\xfcller.png\"}", want: 400},
		{name: "A1 NaN in results", body: `{"job":"$","results":[NaN]}`, want: 400},
		{name: "A1 duplicate job", body: `{"job":"$","job":"$"}`, want: 400},
		{name: "A1 duplicate in results", body: `{"job":"$","results":{"url":"https://h/a","url":"https://h/b"}}`, want: 400},
		{name: "A2 gzip", header: coded("gzip"), body: gzipped(`{"job":"A2-gzip"}`), want: 200, stored: `{"job":"$"}`},
		{name: "A2 x-gzip", header: coded("X-GZIP"), body: gzipped(`{"job":"A2-x-gzip"}`), want: 200, stored: `{"job":"$"}`},
		{name: "A2 gzip without a header", body: gzipped(`{"job":"A2-gzip-without-a-header"}`), want: 200, stored: `{"job":"$"}`},
		{name: "A2 gzip header, plain body", header: coded("gzip"), body: `{"job":"$"}`, want: 200},
		{name: "A2 identity", header: coded("identity"), body: `{"job":"$"}`, want: 200},
		{name: "A2 deflate", header: coded("deflate"), body: zlibbed(`{"job":"A2-deflate"}`), want: 200, stored: `{"job":"$"}`},
		{name: "A2 raw deflate", header: coded("deflate"), body: deflated(`{"job":"A2-raw-deflate"}`), want: 200, stored: `{"job":"$"}`},
		{name: "A2 gzip with defects", header: coded("gzip"), body: gzipped(`{"job":"A2-gzip-with-defects","data":NaN}`), want: 200, defects: 1, stored: `{"job":"$","data":NaN}`},
		{name: "A2 gzip of no event", header: coded("gzip"), body: gzipped(`{"jobs":"A2"}`), want: 422, stored: `{"jobs":"A2"}`},
		{name: "A2 gzip cut off", header: coded("gzip"), body: gzipped(`{"job":"A2"}`)[:15], want: 400},
		{name: "A2 gzip at the limit", header: coded("gzip"), body: gzipped(padded(64 << 10)), want: 200, job: "a", stored: padded(64 << 10)},
		{name: "A2 bomb", header: coded("gzip"), body: gzipped(padded(16 << 20)), want: 413},
		{name: "A2 bomb, deflate", header: coded("deflate"), body: zlibbed(padded(64<<10 + 1)), want: 413},
		{name: "A2 unknown coding", header: coded("br"), body: "\x0b\x05\x80{\"job\":\"x\"}\x03", want: 415},
		{name: "A2 two codings", header: coded("gzip, br"), body: "\x0b\x05\x80", want: 415},
		{name: "A3 form", header: typed("application/x-www-form-urlencoded"), body: "payload=%7B%22job%22%3A%22A3-form%22%2C%22data%22%3A%22a+b%22%7D", want: 200, stored: `{"job":"$","data":"a b"}`},
		{name: "A3 form among others", header: typed("application/x-www-form-urlencoded; charset=utf-8"), body: "a=1&b=+%0A{%22job%22:%22A3-form-among-others%22}&c=", want: 200, stored: " \n{\"job\":\"$\"}"},
		{name: "A3 form type, plain JSON", header: typed("application/x-www-form-urlencoded"), body: `{"job":"$"}`, want: 200},
		{name: "A3 form without JSON", header: typed("application/x-www-form-urlencoded"), body: "job=7", want: 400},
		{name: "A3 form with a broken escape sequence", header: typed("application/x-www-form-urlencoded"), body: `a=%7B"job":"%4"%7D`, want: 400},
		{name: "A3 form with two objects", header: typed("application/x-www-form-urlencoded"), body: `a={"job":"1"}&b={"job":"2"}`, want: 400},
		{
			name: "A3 multipart", header: typed("multipart/form-data; boundary=xx"), want: 200, stored: `{"job":"$"}`,
			body: "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xx\r\nContent-Disposition: form-data; name=\"payload\"; filename=\"p.json\"\r\n\r\n{\"job\":\"$\"}\r\n--xx--\r\n",
		},
		{
			name: "A3 multipart without JSON", header: typed("multipart/form-data; boundary=xx"), want: 400,
			body: "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xx--\r\n",
		},
		{name: "A3 multipart cut off", header: typed("multipart/form-data; boundary=xx"), want: 400, body: "--xx\r\nContent-Dis"},
		{name: "A4 trailing slash", path: path + "/", body: `{"job":"$"}`, want: 200},
		{name: "A4 trailing slash and query token", path: event.WebhookPath + "/?token=" + token, body: `{"job":"$"}`, want: 200},
		{name: "A4 trailing slash and Bearer", path: event.WebhookPath + "//", header: bearer(token), body: `{"job":"$"}`, want: 200},
		{name: "A4 doubled slash", path: "/" + path, body: `{"job":"$"}`, want: 200},
		{name: "A4 doubled slashes everywhere", path: strings.ReplaceAll(path, "/", "//") + "//", body: `{"job":"$"}`, want: 200},
		{name: "A4 encoded token and slash", path: "/" + event.WebhookPath + "/" + url.PathEscape(newToken) + "/", body: `{"job":"$"}`, want: 200},
	}
	server := start(t, defaults())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			job := cmp.Or(row.job, strings.ReplaceAll(row.name, " ", "-"))
			body := strings.ReplaceAll(row.body, "$", job)
			target := path
			if row.path != "" {
				target = row.path
			}
			response, text := server.send(t, http.MethodPost, target, row.header, strings.NewReader(body))
			if response.StatusCode != row.want {
				t.Fatalf("status = %d %s, want %d", response.StatusCode, text, row.want)
			}
			want := body
			if row.stored != "" {
				want = strings.ReplaceAll(row.stored, "$", job)
			}
			events, rejected := server.inbox.kept()
			if row.want == http.StatusRequestEntityTooLarge {
				return // not kept
			}
			if row.want != http.StatusOK {
				for _, r := range rejected {
					if string(r.Body) == want {
						return
					}
				}
				t.Fatalf("rejections = none with the body, want one with %q", want)
			}
			for _, e := range events {
				if e.Job != job {
					continue
				}
				if string(e.Body) != want || len(e.Defects) != row.defects {
					t.Errorf("body, defects = %q, %v, want %q, %d of them", e.Body, e.Defects, want, row.defects)
				}
				wantOriginal(t, e, row.header, body, want)
				return
			}
			t.Errorf("got no event of job %s, want one", job)
		})
	}
}

// wantOriginal wants the body as it was sent beside the stored one, if that is another.
func wantOriginal(t *testing.T, e event.Event, header http.Header, sent, stored string) {
	t.Helper()
	if sent == stored {
		if e.Original != nil {
			t.Errorf("original = %+v, want none", e.Original)
		}
		return
	}
	want := event.Original{ContentEncoding: header.Get("Content-Encoding"), ContentType: header.Get("Content-Type"), Body: []byte(sent)}
	if e.Original == nil || string(e.Original.Body) != sent || e.Original.ContentEncoding != want.ContentEncoding || want.ContentType != "" && e.Original.ContentType != want.ContentType {
		t.Errorf("original = %+v, want %+v", e.Original, want)
	}
}

func coded(coding string) http.Header { return http.Header{"Content-Encoding": {coding}} }

func typed(mediaType string) http.Header { return http.Header{"Content-Type": {mediaType}} }

func gzipped(text string) string {
	return compressed(text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zlibbed(text string) string {
	return compressed(text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

func deflated(text string) string {
	return compressed(text, func(w io.Writer) io.WriteCloser {
		writer, _ := flate.NewWriter(w, flate.BestSpeed)
		return writer
	})
}

func compressed(text string, writer func(io.Writer) io.WriteCloser) string {
	var b strings.Builder
	w := writer(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// TestCodedBodyBudget releases the memory of the decoded copy of a body.
func TestCodedBodyBudget(t *testing.T) {
	t.Parallel()
	const length = 100 << 10
	o := defaults()
	// 256 KiB for bodies that are not small, of which a source gets 192.
	o.webhook.MaxBodyBytes, o.webhook.InFlightBytes, o.webhook.AcceptTimeout = length, 512<<10, 50*time.Millisecond
	server := start(t, o)
	send := func(header http.Header, body string) int {
		response, _ := server.send(t, http.MethodPost, event.WebhookPath+"/"+token, header, strings.NewReader(body))
		return response.StatusCode
	}
	for i := range 20 {
		if got := send(coded("gzip"), gzipped(padded(length))); got != http.StatusOK {
			t.Fatalf("%d: status = %d, want 200", i, got)
		}
	}
}

// stored is gzip that does not compress.
func stored(text string) string {
	return compressed(text, func(w io.Writer) io.WriteCloser {
		writer, _ := gzip.NewWriterLevel(w, gzip.NoCompression)
		return writer
	})
}
