package fetch_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// TestNothingRepeatsTheQuery has servers repeat the signature of our URL in every place that Go's own errors quote.
func TestNothingRepeatsTheQuery(t *testing.T) {
	t.Parallel()
	const secret = "s1gnature"
	for name, answer := range map[string]string{
		"protocol":          secret + "\r\n",
		"version":           "HTTP/" + secret + " 200 OK\r\n\r\n",
		"status":            "HTTP/1.1 " + secret + "\r\n\r\n",
		"reason":            "HTTP/1.1 500 " + secret + "\r\nContent-Length: 0\r\n\r\n",
		"header line":       "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n",
		"first header line": "HTTP/1.1 200 OK\r\n " + secret + "\r\n\r\n",
		"header name":       "HTTP/1.1 200 OK\r\n" + secret + "(): x\r\n\r\n",
		"length":            "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"location":          "HTTP/1.1 302 Found\r\nLocation: /%zz" + secret + "\r\nContent-Length: 0\r\n\r\n",
		"location's query":  "HTTP/1.1 302 Found\r\nLocation: http://evil.example/?" + secret + "\r\nContent-Length: 0\r\n\r\n",
		"chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
		"trailer":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + secret + "\r\n\r\n",
		"nothing":           "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, answer) })
			_, _, err := get(t, newClient(t, atHome()), "http://"+address+"/x.png?X-Amz-Signature="+secret)
			if err == nil {
				t.Fatal("Get() = no error, want one")
			}
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				if text := fmt.Sprintf("%v %+v %#v", cause, cause, cause); strings.Contains(text, secret) {
					t.Errorf("error = %s, want it without the signature", text)
				}
			}
		})
	}
}

func TestNothingRepeatsTheQueryOfABadURL(t *testing.T) {
	t.Parallel()
	const secret = "s1gnature"
	client := newClient(t, fetch.Config{})
	for _, address := range []string{"https://[::1?" + secret, "https://a.test/%zz?" + secret, "https://a.test/?" + secret, "http://a.test/?" + secret, "https://u:" + secret + "@a.test/", "x:" + secret, "\x7f" + secret} {
		_, _, err := get(t, client, address)
		if text := fmt.Sprintf("%v %#v", err, err); err == nil || strings.Contains(text, secret) {
			t.Errorf("Get(%q) = %s, want an error without the secret", address, text)
		}
	}
}
