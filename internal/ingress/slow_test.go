package ingress_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpserver"
)

// Two thousand clients that promise much and send next to nothing, half of them
// within the header section and half within a body of the largest size, do not
// stop a good one; and they are got rid of.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	const count, largest = 2000, 32 << 20
	o := defaults()
	o.door.MaxBodyBytes, o.door.InFlightBytes = largest, largest // the smallest budget there can be
	o.server.ReadHeaderTimeout, o.server.ReadTimeout = 3*time.Second, 3*time.Second
	door := start(t, o)
	slow := make([]net.Conn, count)
	for i := range slow {
		slow[i] = door.dial(t)
		said := "POST " + httpserver.WebhookPath + "/" + token + " HTTP/1.1\r\nHost: rec"
		if i%2 == 0 {
			said += fmt.Sprintf("eiver\r\nContent-Length: %d\r\n\r\n{\"job\":", largest)
		}
		if _, err := io.WriteString(slow[i], said); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		began := time.Now()
		response, body := door.post(t, strings.Replace(sample, "ce0e7624", fmt.Sprintf("%08x", i), 1))
		if took := time.Since(began); response.StatusCode != http.StatusOK || took > 2*time.Second {
			t.Errorf("a good callback was answered %d %s after %s", response.StatusCode, body, took)
		}
	}
	var group sync.WaitGroup
	for i, connection := range slow {
		group.Go(func() {
			answer, err := io.ReadAll(connection)
			if err != nil {
				t.Errorf("a slow connection ended with %v", err)
			}
			if i%2 == 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				t.Errorf("a slow body was answered %q", answer)
			}
		})
	}
	group.Wait()
	if events, rejected := door.inbox.kept(); len(events) != 50 || len(rejected) != 0 {
		t.Errorf("stored are %d events and %d rejected bodies", len(events), len(rejected))
	}
}
