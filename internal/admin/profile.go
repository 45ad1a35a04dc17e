package admin

import (
	"net/http"
	"net/http/pprof"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// maxProfileSeconds bounds what one request may record.
const maxProfileSeconds = 60

// isProfileDuration reports whether the duration that a request wants to record is valid. Without one it is.
func isProfileDuration(r *http.Request) bool {
	for _, text := range r.URL.Query()["seconds"] {
		seconds, err := strconv.ParseFloat(text, 64)
		inRange := seconds >= 0 && seconds <= maxProfileSeconds // not for NaN
		if text != "" && (err != nil || !inRange) {
			return false
		}
	}
	return true
}

// showProfile answers GET /debug/pprof/{name}, and the list of profiles without a name.
func (a *Admin) showProfile(w http.ResponseWriter, r *http.Request) {
	if !isProfileDuration(r) {
		detail := "seconds must be a number from 0 to " + strconv.Itoa(maxProfileSeconds) + "."
		problem.Write(w, r, &problem.Error{Code: problem.CodeBadRequest, Detail: detail})
		return
	}
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
