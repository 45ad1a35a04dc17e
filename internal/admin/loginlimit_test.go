package admin_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
)

// Guessing is slow: who has failed too often is not listened to, also with the right token, until time has passed.
// Sessions go on.
func TestGuessing(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	session := logIn(handler, adminToken, "/").Cookies()[0]
	codes := map[int]int{}
	for n := range 40 {
		codes[ask(handler, "GET", "/openapi.yaml", with("Authorization", fmt.Sprint("Bearer guess-", n))).StatusCode]++
	}
	if codes[http.StatusUnauthorized] > 11 || codes[http.StatusTooManyRequests] < 29 {
		t.Errorf("guesses were answered %v", codes)
	}
	answer := logIn(handler, adminToken, "/")
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the right token is answered %d", answer.StatusCode)
	}
	if answer := ask(handler, "GET", "/openapi.yaml", with("Cookie", session.Name+"="+session.Value)); answer.StatusCode != http.StatusOK {
		t.Errorf("a session is answered %d", answer.StatusCode)
	}
	if answer := ask(handler, "GET", "/openapi.yaml", from("127.0.0.2", adminToken)); answer.StatusCode != http.StatusOK {
		t.Errorf("another address is answered %d", answer.StatusCode)
	}
}

func from(address, token string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = net.JoinHostPort(address, "50000")
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// Whoever has one address of IPv6 has a whole network of them, and guesses no faster for that.
func TestGuessingFromAWholeNetwork(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	codes := map[int]int{}
	for n := range 40 {
		codes[ask(handler, "GET", "/openapi.yaml", from(fmt.Sprintf("2001:db8::%x:1", n), "a guess")).StatusCode]++
	}
	if codes[http.StatusUnauthorized] > 11 || codes[http.StatusTooManyRequests] < 29 {
		t.Errorf("guesses were answered %v", codes)
	}
	if answer := ask(handler, "GET", "/openapi.yaml", from("2001:db8:0:1::1", adminToken)); answer.StatusCode != http.StatusOK {
		t.Errorf("another network is answered %d", answer.StatusCode)
	}
}
