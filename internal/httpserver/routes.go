package httpserver

import (
	"cmp"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// Names of the routes of health.
const (
	livePath    = "/livez"
	healthyPath = "/healthz"
	readyPath   = "/readyz"
)

type route struct {
	method, pattern string
	handler         http.Handler
}

// routes is the whole public surface. GET routes answer HEAD as well.
func (s *Server) routes() []route {
	webhook := s.admit(s.webhook)
	return []route{
		{http.MethodPost, event.WebhookPath + "/{token}", webhook},
		{http.MethodPost, event.WebhookPath, webhook},
		{http.MethodGet, livePath, http.HandlerFunc(live)},
		{http.MethodGet, healthyPath, http.HandlerFunc(live)},
		{http.MethodGet, readyPath, http.HandlerFunc(s.ready)},
	}
}

// Router makes the whole surface, with all that is done around a request.
func (s *Server) Router() chi.Router {
	router := chi.NewRouter()
	router.Use(s.observe)
	router.Use(locate(s.config.TrustedProxies)...)
	router.Use(s.limitHeaders)
	router.NotFound(problem.NotFound)
	s.mount(router) // which may say it in another way
	router.MethodNotAllowed(methodNotAllowed(router))
	return router
}

// public puts the routes of the public listener.
func (s *Server) public(router chi.Router) {
	for _, route := range s.routes() {
		router.Method(route.method, route.pattern, route.handler)
		if route.method == http.MethodGet {
			router.Method(http.MethodHead, route.pattern, route.handler)
		}
	}
}

// methodNotAllowed answers what is known of, but not by this method. chi also
// asks it about methods that it does not know, whatever the path.
func methodNotAllowed(router chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		path := cmp.Or(r.URL.RawPath, r.URL.Path) // as chi takes it
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if pattern := router.Find(chi.NewRouteContext(), method, path); pattern != "" {
				allowed = append(allowed, method)
				chi.RouteContext(r.Context()).RoutePatterns = []string{pattern} // for the access line
			}
		}
		if allowed == nil {
			problem.NotFound(w, r)
			return
		}
		problem.MethodNotAllowed(w, r, allowed)
	}
}
