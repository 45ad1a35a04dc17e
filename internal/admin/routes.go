package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

type route struct {
	method, pattern string
	handler         http.HandlerFunc
	timeout         time.Duration // of the request's context; queryTimeout if zero, none if negative
	maxBody         int64         // bytes; maxForm if zero
}

const (
	// queryTimeout bounds what most requests ask of the stores.
	queryTimeout = 10 * time.Second
	// noTimeout is for requests that bound their own time.
	noTimeout = -1
	// maxForm bounds the body of a request with a form or a few parameters, in bytes.
	maxForm = 64 << 10
)

// ServeHTTP bounds the body and the time of a request and serves it.
func (r route) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	maxBody, timeout := r.maxBody, r.timeout
	if maxBody == 0 {
		maxBody = maxForm
	}
	if timeout == 0 {
		timeout = queryTimeout
	}
	request.Body = http.MaxBytesReader(w, request.Body, maxBody)
	if timeout > 0 {
		ctx, cancel := context.WithTimeout(request.Context(), timeout)
		defer cancel()
		request = request.WithContext(ctx)
	}
	r.handler(w, request)
}

const get, post = http.MethodGet, http.MethodPost

// apiRoutes are the JSON API, the specification, metrics and profiles.
func (a *Admin) apiRoutes() []route {
	return []route{
		{method: get, pattern: "/api/v1/events", handler: a.listEvents},
		{method: get, pattern: "/api/v1/events/{id}", handler: a.showEvent},
		{method: get, pattern: "/api/v1/events/{id}/body", handler: a.showBody},
		{method: get, pattern: "/api/v1/events/{id}/original", handler: a.showOriginal},
		{method: get, pattern: "/api/v1/events/{id}/artifacts/{n}", handler: a.showArtifact, timeout: noTimeout},
		{method: get, pattern: "/api/v1/jobs", handler: a.listJobs},
		{method: get, pattern: "/api/v1/jobs/{job}", handler: a.showJob},
		{method: get, pattern: "/api/v1/stats", handler: a.showStats},
		{method: get, pattern: "/api/v1/stream", handler: a.stream, timeout: noTimeout},
		{method: get, pattern: "/api/v1/rejections", handler: a.listRejections},
		{method: get, pattern: "/api/v1/rejections/{id}/body", handler: a.showRejectionBody},
		{method: get, pattern: "/api/v1/targets", handler: a.listTargets},
		{method: get, pattern: "/openapi.yaml", handler: a.showSpecification},
		{method: get, pattern: "/metrics", handler: a.showMetrics},
		{method: get, pattern: "/debug/pprof/", handler: a.showProfile, timeout: noTimeout},
		{method: get, pattern: "/debug/pprof/{name}", handler: a.showProfile, timeout: noTimeout},
	}
}

// actionRoutes change something. Clients of the API and the forms of the pages share the handlers.
func (a *Admin) actionRoutes() (routes []route) {
	add := func(pattern string, do actionFunc, limits route) {
		for _, prefix := range []string{"/api/v1", ""} {
			limits.method, limits.pattern, limits.handler = post, prefix+pattern, a.action(do)
			routes = append(routes, limits)
		}
	}
	add("/events/{id}/replay", a.replayEvent, route{})
	add("/events/{id}/verify", a.releaseEvent(actionVerify), route{})
	add("/events/{id}/release", a.releaseEvent(actionRelease), route{})
	add("/replays", a.replayMany, route{})
	add("/quarantine/verify", a.releaseAll(actionVerify), route{timeout: noTimeout})
	add("/quarantine/release", a.releaseAll(actionRelease), route{timeout: noTimeout})
	add("/quarantine/purge", a.purgeAll, route{timeout: noTimeout})
	add("/erasures", a.eraseJob, route{timeout: noTimeout})
	add("/rejections/{id}/accept", a.acceptRejection, route{})
	add("/rejections/{id}/delete", a.deleteRejection, route{})
	add("/targets/{name}/enable", a.enableTarget, route{})
	add("/targets/{name}/disable", a.disableTarget, route{})
	add("/targets/{name}/drop", a.dropTarget, route{timeout: noTimeout})
	add("/targets/{name}/keep", a.keepTarget, route{})
	add("/jobs", a.submitJob, route{timeout: noTimeout, maxBody: maxSubmissionBytes})
	add("/jobs/track", a.trackJobs, route{maxBody: maxTrackBytes})
	return routes
}

// pageRoutes are the dashboard.
func (a *Admin) pageRoutes() []route {
	return []route{
		{method: get, pattern: "/", handler: a.showOverview},
		{method: get, pattern: "/events", handler: a.showEvents},
		{method: get, pattern: "/events/{id}", handler: a.showEventPage},
		{method: get, pattern: "/events/{id}/artifacts/{n}/thumbnail", handler: a.showThumbnail, timeout: thumbnailTimeout},
		{method: get, pattern: "/replays", handler: a.confirmReplay},
		{method: get, pattern: "/jobs", handler: a.showJobs},
		{method: get, pattern: "/rejected", handler: a.showRejected},
		{method: get, pattern: "/setup", handler: a.showSetup},
		{method: post, pattern: "/setup", handler: a.showSetup},
		{method: post, pattern: "/setup/test-event", handler: a.sendTestEvent, timeout: testEventTimeout},
		{method: get, pattern: "/api", handler: a.redirectToSpecification},
		{method: get, pattern: "/assets/{name}", handler: a.showAsset},
		{method: get, pattern: loginPath, handler: a.showLogin},
		{method: post, pattern: loginPath, handler: a.login},
		{method: post, pattern: "/logout", handler: a.logout},
	}
}

// Mount adds the routes and their middleware to a router. GET routes answer HEAD as well.
func (a *Admin) Mount(router chi.Router) {
	router.Use(a.removeBasePath, a.secure, a.authenticate)
	router.NotFound(a.notFound)
	for _, routes := range [][]route{a.apiRoutes(), a.actionRoutes(), a.pageRoutes()} {
		for _, route := range routes {
			router.Method(route.method, route.pattern, route)
			if route.method == http.MethodGet {
				router.Method(http.MethodHead, route.pattern, route)
			}
		}
	}
}
