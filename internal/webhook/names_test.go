package webhook_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Whatever the query holds, the callback is accepted.
func TestNames(t *testing.T) {
	t.Parallel()
	const withURL, inline = `{"job":"a","data":{"url":"https://h/Rote%20Schuhe.jpg"}}`, `{"job":"a","data":{"url":"base64,iVBORw0K"}}`
	long := strings.Repeat("x", event.MaxNameBytes)
	for _, row := range []struct {
		name, path, query, body string // the path is that with the token unless it is set
		want                    event.Names
	}{
		{name: "none", body: withURL, want: event.Names{Input: "Rote Schuhe.jpg"}},
		{name: "reference", query: "?reference=SKU-4711", body: withURL, want: event.Names{Input: "Rote Schuhe.jpg", Reference: "SKU-4711"}},
		{name: "escaped", query: "?a=b&reference=Gr%C3%B6%C3%9Fe+%26%2F%3B%25", body: inline, want: event.Names{Reference: "Größe &/;%"}},
		{name: "not escaped", query: "?reference=50%;rot", body: inline, want: event.Names{Reference: "50%;rot"}},
		{name: "twice", query: "?reference=1&reference=2", body: inline, want: event.Names{Reference: "1"}},
		{name: "empty", query: "?reference=&x", body: inline},
		{name: "control characters", query: "?reference=a%00%1B%0Ab", body: inline, want: event.Names{Reference: "a b"}},
		{name: "invalid UTF-8", query: "?reference=M%FCller", body: inline, want: event.Names{Reference: "Mller"}},
		{name: "nothing usable", query: "?reference=%FF%00", body: inline},
		{name: "too long", query: "?reference=" + long + "%C3%A9", body: inline, want: event.Names{Reference: long}},
		{name: "input of an upload", query: "?input=photo+1.png", body: inline, want: event.Names{Input: "photo 1.png"}},
		{name: "input with a folder", query: "?input=..%2F..%5Cetc%2Fpasswd", body: inline, want: event.Names{Input: "passwd"}},
		{name: "input and URL", query: "?input=other.png", body: withURL, want: event.Names{Input: "Rote Schuhe.jpg"}},
		{name: "trailing slash", path: event.WebhookPath + "/" + token + "/", query: "?reference=1", body: inline, want: event.Names{Reference: "1"}},
		{name: "token in the query", path: event.WebhookPath, query: "?token=" + token + "&reference=1", body: inline, want: event.Names{Reference: "1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, path := start(t, defaults()), event.WebhookPath+"/"+token
			if row.path != "" {
				path = row.path
			}
			response, body := server.send(t, http.MethodPost, path+row.query, nil, strings.NewReader(row.body))
			events, _ := server.inbox.kept()
			if response.StatusCode != http.StatusOK || len(events) != 1 {
				t.Fatalf("response = %d %s, stored %d events; want 200 and 1", response.StatusCode, body, len(events))
			}
			if events[0].Names != row.want {
				t.Errorf("names = %+v, want %+v", events[0].Names, row.want)
			}
		})
	}
}
