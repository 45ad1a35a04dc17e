package admin

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// basePath returns the path before all paths of the listener, without a slash at its end; "" for none.
func (c Config) basePath() string { return strings.TrimRight(c.BasePath, "/") }

// basePathFault returns what is wrong with the base path, or "". A path that begins like one of the listener's own would be
// ambiguous, because a proxy may remove the base path or keep it.
func (c Config) basePathFault() string {
	const maxLength = 200
	base := c.basePath()
	if base == "" {
		return ""
	}
	segments := strings.Split(base[1:], "/")
	switch plain := regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`); {
	case len(base) > maxLength || !plain.MatchString(base) || slices.Contains(segments, ".") || slices.Contains(segments, ".."):
		return "must be a path such as /receiver, of letters, digits and the characters . _ ~ -"
	case slices.Contains(ownSegments(), segments[0]):
		return "must not begin with /" + segments[0] + ", which is a path of the listener itself"
	}
	return ""
}

// ownSegments returns the first segments of all routes.
func ownSegments() (segments []string) {
	a := &Admin{}
	for _, route := range slices.Concat(a.apiRoutes(), a.actionRoutes(), a.pageRoutes()) {
		segment, _, _ := strings.Cut(strings.TrimPrefix(route.pattern, "/"), "/")
		segments = append(segments, segment)
	}
	return segments
}

// removeBasePath serves a request under the base path as one without it.
func (a *Admin) removeBasePath(next http.Handler) http.Handler {
	base := a.config.basePath()
	if base == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := within(r.URL.Path, base); ok {
			address := new(url.URL)
			*address = *r.URL
			address.Path = path
			address.RawPath, _ = within(r.URL.RawPath, base)
			r = r.WithContext(r.Context())
			r.URL = address
		}
		next.ServeHTTP(w, r)
	})
}

// within returns the part of path behind base, which begins with a slash.
func within(path, base string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, base)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return "", false
	case rest == "":
		return "/", true
	}
	return rest, true
}

// redirect leads a browser to a path of the listener.
func (a *Admin) redirect(w http.ResponseWriter, r *http.Request, path string) {
	http.Redirect(w, r, a.config.basePath()+path, http.StatusSeeOther) //nolint:gosec // paths of this listener only
}
