package fetch_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

func TestBodyOfAnError(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		write func(w http.ResponseWriter, r *http.Request)
		want  string
	}{
		{name: "B3 text", want: "sorry", write: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "sorry") }},
		{name: "B3 no body", write: func(http.ResponseWriter, *http.Request) {}},
		{name: "B3 endless body", want: strings.Repeat("x", 4<<10), write: func(w http.ResponseWriter, _ *http.Request) {
			for _, err := io.WriteString(w, "x"); err == nil; _, err = io.WriteString(w, "x") { //nolint:revive // until the client leaves
			}
		}},
		{name: "B3 body that stalls", want: "sorry", write: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "sorry")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{name: "B3 broken body", want: "sorry", write: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "sorry")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{name: "B3 compressed body", want: "sorry", write: func(w http.ResponseWriter, _ *http.Request) {
			zipped := gzip.NewWriter(w)
			_, _ = io.WriteString(zipped, "sorry")
			_ = zipped.Close()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(row.name, "compressed") {
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				row.write(w, r)
			})
			_, _, err := get(t, newClient(t, atHome(), fetch.WithLimits(fetch.Limits{ErrorBody: 200 * time.Millisecond})), server.URL)
			if got := string(failed(t, err, fetch.KindStatus).Body); got != row.want {
				t.Errorf("body = %.100q (%d bytes), want %.100q", got, len(got), row.want)
			}
		})
	}
}

func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, contact, agent string // agent is the end of the User-Agent
	}{
		{name: "B4 with a URL", contact: "https://hooks.example.com", agent: " (+https://hooks.example.com)"},
		{name: "B4 with an e-mail address", contact: "ops@example.com", agent: " (+ops@example.com)"},
		{name: "B4 without a contact"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.UserAgent(), "deepimage-receiver/"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, row.agent) || strings.Count(got, "(") != strings.Count(row.agent, "(") {
					t.Errorf("User-Agent = %q, want %s, the version and %q", got, want, row.agent)
				}
				if got, want := r.Header.Get("Accept"), "image/*,*/*;q=0.5"; got != want {
					t.Errorf("Accept = %q, want %q", got, want)
				}
				_, _ = io.WriteString(w, "image")
			})
			config := atHome()
			config.Contact = row.contact
			if _, _, err := get(t, newClient(t, config), server.URL); err != nil {
				t.Error(err)
			}
		})
	}
	for _, contact := range []string{"a b", "a)b", "a\r\nb", "ü", strings.Repeat("x", 201)} {
		if err := (fetch.Config{Contact: contact}).Validate(); err == nil {
			t.Errorf("Validate() of the contact %q = no error, want one", contact)
		}
	}
}
