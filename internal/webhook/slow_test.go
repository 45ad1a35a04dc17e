package webhook_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// TestSlowConnections has 2,000 slow clients, half of them in the header section and half in a body of the largest size.
// They do not stop a good one. The deadlines of the server are longer than the test.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	const count, largest = 2000, 32 << 20
	o := defaults()
	o.webhook.MaxBodyBytes, o.webhook.InFlightBytes = largest, largest // the smallest budget
	server := start(t, o)
	slow := make([]net.Conn, count)
	for i := range slow {
		slow[i] = server.dial(t)
		sent := "POST " + event.WebhookPath + "/" + token + " HTTP/1.1\r\nHost: rec"
		if i%2 == 0 {
			sent += fmt.Sprintf("eiver\r\nContent-Length: %d\r\n\r\n{\"job\":", largest)
		}
		if _, err := io.WriteString(slow[i], sent); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		response, body := server.post(t, strings.Replace(sample, "ce0e7624", fmt.Sprintf("%08x", i), 1))
		if response.StatusCode != http.StatusOK {
			t.Errorf("response to a good callback = %d %s, want 200", response.StatusCode, body)
		}
	}
	for i, connection := range slow {
		if i%2 == 0 { // still within its deadline
			closeWrite(t, connection)
			if answer, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				t.Errorf("response to a body that broke off = %q (%v), want 408", answer, err)
			}
		}
		_ = connection.Close()
	}
	if events, rejected := server.inbox.kept(); len(events) != 50 || len(rejected) != 0 {
		t.Errorf("stored %d events and %d rejections, want 50 and 0", len(events), len(rejected))
	}
}
