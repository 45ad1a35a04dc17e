package webhook

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// probe answers a request with httpclient.ProbeHeader and one of Deps.Tokens, and reports whether it did. The answer has the client IP of the
// request, "" if a proxy sent an unreadable one. Nothing is stored.
func (e *Endpoint) probe(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get(httpclient.ProbeHeader) == "" || !e.deps.Tokens.Match(presentedToken(r)) {
		return false
	}
	var found struct {
		Client string `json:"client"`
	}
	if client := problem.RequestInfoFrom(r.Context()).Client; client.IsValid() {
		found.Client = client.String()
	}
	body, _ := json.Marshal(found) // text only
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
	return true
}
