package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// jobToken is the token of a callback of one job; the zero value is one of Deps.Tokens.
type jobToken struct {
	text string
	used bool // by an event
}

// authorize checks the token of r in constant time and returns it if it is a job token. An empty token never matches.
func (e *Endpoint) authorize(r *http.Request) (jobToken, error) {
	token := presentedToken(r)
	if token == "" {
		return jobToken{}, unauthorized()
	}
	if e.deps.Tokens.Match(token) {
		return jobToken{}, nil
	}
	if e.deps.JobTokens == nil {
		return jobToken{}, unauthorized()
	}
	ctx, cancel := e.storeContext(r.Context())
	defer cancel()
	switch known, used, err := e.deps.JobTokens.Find(ctx, token); {
	case err != nil:
		return jobToken{}, unavailable(err, "The token lookup failed.")
	case !known:
		return jobToken{}, unauthorized()
	default:
		return jobToken{text: token, used: used}, nil
	}
}

// useJobToken marks a job token as used for received. It returns nil for one of Deps.Tokens.
func (e *Endpoint) useJobToken(ctx context.Context, token jobToken, received *event.Event) error {
	if token.text == "" {
		return nil
	}
	ctx, cancel := e.storeContext(ctx)
	defer cancel()
	if !e.deps.JobTokens.Use(ctx, token.text, received) {
		return unauthorized()
	}
	return nil
}

func unauthorized() error {
	return &problem.Error{Code: problem.CodeUnauthorized, Detail: "The callback has no token, or a wrong one. Use the URL that \"receiver url\" prints."}
}

// presentedToken returns the token of r: from the path, else Bearer, else the Basic password, else
// the query parameter "token"; "" if there is none.
func presentedToken(r *http.Request) string {
	if token := pathToken(r); token != "" {
		return token
	}
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		if token := bearerToken(authorization); token != "" {
			return token
		}
		if _, password, ok := r.BasicAuth(); ok && password != "" {
			return password
		}
	}
	if strings.Contains(r.URL.RawQuery, "token=") { // spares the usual callback the parsing
		return r.URL.Query().Get("token")
	}
	return ""
}

// pathToken returns the token in the path. chi does not decode parameters of a raw path.
func pathToken(r *http.Request) string {
	token := chi.URLParam(r, "token")
	if r.URL.RawPath == "" {
		return token
	}
	decoded, err := url.PathUnescape(token)
	if err != nil {
		return ""
	}
	return decoded
}

func bearerToken(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// setRefusalHeaders sets the headers that belong to the code of err.
func setRefusalHeaders(w http.ResponseWriter, err error) {
	switch problem.CodeOf(err) {
	case problem.CodeUnauthorized:
		w.Header()["Www-Authenticate"] = []string{`Bearer realm="webhooks"`, `Basic realm="webhooks", charset="UTF-8"`}
	case problem.CodeUnsupportedCoding:
		w.Header().Set("Accept-Encoding", "gzip, deflate")
	}
}
