package admin

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// reply answers with a body as JSON, or with the problem for err.
func reply(w http.ResponseWriter, r *http.Request, status int, result any, err error) {
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	body, err := json.Marshal(result)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have disconnected
}

// showSpecification answers GET /openapi.yaml.
func (*Admin) showSpecification(w http.ResponseWriter, r *http.Request) {
	text, err := api.Specification()
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	mediaType := "application/yaml"
	if wantsPage(r) {
		mediaType = "text/plain; charset=utf-8" // which browsers show instead of downloading it
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // the client may have disconnected
}

// redirectToSpecification answers GET /api.
func (a *Admin) redirectToSpecification(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, a.config.basePath()+"/openapi.yaml", http.StatusFound)
}
