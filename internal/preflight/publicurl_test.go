package preflight_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/preflight"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// TestPublicURLAnswers are answers of other programs and of receivers behind wrong proxies.
func TestPublicURLAnswers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, body string
		status     int
		want       preflight.Status
	}{
		{name: "E15 address of this machine", body: `{"client":"198.51.100.7"}`, status: 200, want: preflight.OK},
		{name: "E15 claimed address", body: `{"client":"192.0.2.66"}`, status: 200, want: preflight.Warn},
		{name: "E15 claimed address as IPv6", body: `{"client":"::ffff:192.0.2.66"}`, status: 200, want: preflight.Warn},
		{name: "E15 unreadable address", body: `{"client":""}`, status: 200, want: preflight.Warn},
		{name: "another program", body: `{"client":"curl\u001b[31m"}`, status: 200, want: preflight.Warn},
		{name: "a page", body: `<html>`, status: 200, want: preflight.Warn},
		{name: "null", body: `null`, status: 200, want: preflight.Warn},
		{name: "refused", body: `{"client":"198.51.100.7"}`, status: 403, want: preflight.Warn},
		{name: "moved", body: `{"client":"198.51.100.7"}`, status: 308, want: preflight.Warn},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Forwarded-For") == "" || r.Header.Get("Authorization") != "Bearer 0123456789abcdef" {
					t.Errorf("headers = %v, want a claimed address and the token", r.Header)
				}
				if row.status == http.StatusPermanentRedirect {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.body))
			}))
			t.Cleanup(server.Close)
			got := preflight.CheckPublicURL(t.Context(), server.URL, secret.List{secret.New("0123456789abcdef")})
			if len(got) != 1 || got[0].Status != row.want {
				t.Errorf("results = %+v, want one that is %s", got, row.want)
			}
		})
	}
}
