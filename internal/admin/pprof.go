package admin

import (
	"net/http"
	"net/http/pprof"

	"github.com/go-chi/chi/v5"
)

// showMetrics answers GET /metrics.
func (a *Admin) showMetrics(w http.ResponseWriter, r *http.Request) { a.deps.Metrics.ServeHTTP(w, r) }

// showProfile answers GET /debug/pprof/{name}, and the list of profiles without a name.
func (a *Admin) showProfile(w http.ResponseWriter, r *http.Request) {
	switch name := chi.URLParam(r, "name"); name {
	case "":
		pprof.Index(w, r)
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Handler(name).ServeHTTP(w, r)
	}
}
