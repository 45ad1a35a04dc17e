package httpserver

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// Health routes.
const (
	livePath    = "/livez"
	healthyPath = "/healthz"
	readyPath   = "/readyz"
)

type route struct {
	method, pattern string
	handler         http.Handler
}

// routes is the table of the public listener. GET routes also answer HEAD.
func (s *Server) routes() []route {
	webhook := s.allow(s.webhook)
	return []route{
		{http.MethodPost, event.WebhookPath + "/{token}", webhook},
		{http.MethodPost, event.WebhookPath, webhook},
		{http.MethodGet, livePath, http.HandlerFunc(live)},
		{http.MethodGet, healthyPath, http.HandlerFunc(live)},
		{http.MethodGet, readyPath, http.HandlerFunc(s.ready)},
	}
}

// Router returns the routes with the middleware around them.
func (s *Server) Router() chi.Router {
	router := chi.NewRouter()
	router.Use(s.logRequests)
	router.Use(s.closeDraining)
	router.Use(ignoreSlashes)
	router.Use(setClientIP(s.config.TrustedProxies))
	router.Use(s.limitHeaders)
	router.Use(shareConnections)
	router.NotFound(problem.NotFound)
	s.mount(router) // may replace NotFound
	router.MethodNotAllowed(methodNotAllowed(router))
	return router
}

// mountPublic mounts the routes of the public listener.
func (s *Server) mountPublic(router chi.Router) {
	for _, route := range s.routes() {
		router.Method(route.method, route.pattern, route.handler)
		if route.method == http.MethodGet {
			router.Method(http.MethodHead, route.pattern, route.handler)
		}
	}
}

// methodNotAllowed answers 405 with the methods of the route. chi also calls it for unknown
// methods of unknown paths; these get 404.
func methodNotAllowed(router chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		path := routePath(r)
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if pattern := router.Find(chi.NewRouteContext(), method, path); pattern != "" {
				allowed = append(allowed, method)
				chi.RouteContext(r.Context()).RoutePatterns = []string{pattern} // for the access log
			}
		}
		if allowed == nil {
			problem.NotFound(w, r)
			return
		}
		problem.MethodNotAllowed(w, r, allowed)
	}
}

// routePath returns the path that chi matches.
func routePath(r *http.Request) string {
	return cmp.Or(chi.RouteContext(r.Context()).RoutePath, r.URL.RawPath, r.URL.Path)
}

// ignoreSlashes matches the callback routes without regard to doubled and trailing slashes.
func ignoreSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := routePath(r); strings.Contains(path, "//") || strings.HasSuffix(path, "/") {
			segments := slices.DeleteFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "" })
			path = "/" + strings.Join(segments, "/")
			if path == event.WebhookPath || strings.HasPrefix(path, event.WebhookPath+"/") {
				chi.RouteContext(r.Context()).RoutePath = path
			}
		}
		next.ServeHTTP(w, r)
	})
}
