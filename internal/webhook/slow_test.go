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

// Two thousand clients that promise much and send next to nothing, half of them
// within the header section and half within a body of the largest size, do not
// stop a good one. The server would listen to them for longer than the test does.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	const count, largest = 2000, 32 << 20
	o := defaults()
	o.door.MaxBodyBytes, o.door.InFlightBytes = largest, largest // the smallest budget there can be
	door := start(t, o)
	slow := make([]net.Conn, count)
	for i := range slow {
		slow[i] = door.dial(t)
		said := "POST " + event.WebhookPath + "/" + token + " HTTP/1.1\r\nHost: rec"
		if i%2 == 0 {
			said += fmt.Sprintf("eiver\r\nContent-Length: %d\r\n\r\n{\"job\":", largest)
		}
		if _, err := io.WriteString(slow[i], said); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		response, body := door.post(t, strings.Replace(sample, "ce0e7624", fmt.Sprintf("%08x", i), 1))
		if response.StatusCode != http.StatusOK {
			t.Errorf("a good callback was answered %d %s", response.StatusCode, body)
		}
	}
	for i, connection := range slow {
		if i%2 == 0 { // the promise is still believed
			closeWrite(t, connection)
			if answer, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				t.Errorf("a body that broke off was answered %q, %v", answer, err)
			}
		}
		_ = connection.Close()
	}
	if events, rejected := door.inbox.kept(); len(events) != 50 || len(rejected) != 0 {
		t.Errorf("stored are %d events and %d rejected bodies", len(events), len(rejected))
	}
}
