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

// authorize lets in who carries one of the tokens, in constant time, or the token of a job, which is given back. An empty
// token never matches.
func (i *Endpoint) authorize(r *http.Request) (jobToken string, err error) {
	token := presentedToken(r)
	if token == "" {
		return "", unauthorized()
	}
	if i.deps.Tokens.Match(token) {
		return "", nil
	}
	if i.deps.JobTokens == nil {
		return "", unauthorized()
	}
	ctx, cancel := i.storeContext(r.Context())
	defer cancel()
	switch isKnown, err := i.deps.JobTokens.Known(ctx, token); {
	case err != nil:
		return "", unavailable(err, "The token could not be looked up.")
	case !isKnown:
		return "", unauthorized()
	default:
		return token, nil
	}
}

// use uses up the token of a job, if it was one that opened.
func (i *Endpoint) use(ctx context.Context, jobToken string, e *event.Event) error {
	if jobToken == "" {
		return nil
	}
	ctx, cancel := i.storeContext(ctx)
	defer cancel()
	if !i.deps.JobTokens.Use(ctx, jobToken, e) {
		return unauthorized()
	}
	return nil
}

func unauthorized() error {
	return &problem.Error{Code: problem.CodeUnauthorized, Detail: "The callback carries no token, or one that is not valid here."}
}

// presentedToken is the token of a request: the one in the path, else the Bearer
// token, else the Basic password, else the query parameter token; "" if there is none.
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
	if strings.Contains(r.URL.RawQuery, "token=") { // the usual callback pays for no parsing
		return r.URL.Query().Get("token")
	}
	return ""
}

// pathToken is the token that the route holds. chi routes by the raw path when
// there is one, and then leaves the decoding to us.
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

// challenge tells a sender without a valid token how it can carry one.
func challenge(w http.ResponseWriter, err error) {
	if problem.CodeOf(err) == problem.CodeUnauthorized {
		w.Header()["Www-Authenticate"] = []string{`Bearer realm="webhooks"`, `Basic realm="webhooks", charset="UTF-8"`}
	}
}
