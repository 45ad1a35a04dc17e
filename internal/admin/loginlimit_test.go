package admin_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
)

// After too many wrong tokens the other wrong ones of a client IP are refused for a while. D7: the right token and sessions stay valid.
func TestWrongTokensAreLimited(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	session := logIn(handler, adminToken, "/").Cookies()[0]
	codes := map[int]int{}
	for n := range 40 {
		codes[ask(handler, "GET", "/openapi.yaml", withHeader("Authorization", fmt.Sprint("Bearer guess-", n))).StatusCode]++
	}
	if codes[http.StatusUnauthorized] > 11 || codes[http.StatusTooManyRequests] < 29 {
		t.Errorf("statuses = %v, want at most 11 of 401 and at least 29 of 429", codes)
	}
	if answer := logIn(handler, adminToken, "/"); answer.StatusCode != http.StatusSeeOther || len(answer.Cookies()) != 1 {
		t.Errorf("D7 login with the right token: status = %d, %d cookies; want 303 and 1", answer.StatusCode, len(answer.Cookies()))
	}
	if answer := ask(handler, "GET", "/openapi.yaml", from("127.0.0.1", adminToken)); answer.StatusCode != http.StatusOK {
		t.Errorf("D7 right token: status = %d, want 200", answer.StatusCode)
	}
	if answer := logIn(handler, "another guess", "/"); answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("wrong token: status = %d, Retry-After = %q; want 429 and a time", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	if answer := ask(handler, "GET", "/openapi.yaml", withHeader("Cookie", session.Name+"="+session.Value)); answer.StatusCode != http.StatusOK {
		t.Errorf("session: status = %d, want 200", answer.StatusCode)
	}
	if answer := ask(handler, "GET", "/openapi.yaml", from("127.0.0.2", adminToken)); answer.StatusCode != http.StatusOK {
		t.Errorf("other address: status = %d, want 200", answer.StatusCode)
	}
}

func from(address, token string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = net.JoinHostPort(address, "50000")
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// The addresses of one /64 are limited together.
func TestWrongTokensOfANetworkAreLimited(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	codes := map[int]int{}
	for n := range 40 {
		codes[ask(handler, "GET", "/openapi.yaml", from(fmt.Sprintf("2001:db8::%x:1", n), "a guess")).StatusCode]++
	}
	if codes[http.StatusUnauthorized] > 11 || codes[http.StatusTooManyRequests] < 29 {
		t.Errorf("statuses = %v, want at most 11 of 401 and at least 29 of 429", codes)
	}
	if answer := ask(handler, "GET", "/openapi.yaml", from("2001:db8:0:1::1", adminToken)); answer.StatusCode != http.StatusOK {
		t.Errorf("other network: status = %d, want 200", answer.StatusCode)
	}
}
