package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

type route struct {
	method, pattern string
	handler         http.HandlerFunc
}

// maxForm bounds the body of a request that no other bound is known of, in bytes: a form, or a few parameters.
const maxForm = 64 << 10

// maxBody bounds the body of a request, in bytes.
func (r route) maxBody() int64 {
	switch r.pattern {
	case "/api/v1/jobs":
		return maxSubmissionBytes
	case "/api/v1/expectations", "/jobs/expect":
		return maxExpectBytes
	default:
		return maxForm
	}
}

// within bounds what is read of a request.
func (r route) within(w http.ResponseWriter, request *http.Request) {
	request.Body = http.MaxBytesReader(w, request.Body, r.maxBody())
	r.handler(w, request)
}

// routes is the whole admin surface. GET routes answer HEAD as well.
func (a *Admin) routes() []route {
	return []route{
		{http.MethodGet, "/api/v1/events", a.listEvents},
		{http.MethodGet, "/api/v1/events/{id}", a.showEvent},
		{http.MethodGet, "/api/v1/events/{id}/body", a.showBody},
		{http.MethodGet, "/api/v1/events/{id}/artifacts/{n}", a.showArtifact},
		{http.MethodPost, "/api/v1/events/{id}/replay", a.replayEvent},
		{http.MethodPost, "/api/v1/replays", a.replayMany},
		{http.MethodPost, "/api/v1/events/{id}/verify", a.verifyEvent},
		{http.MethodPost, "/api/v1/events/{id}/release", a.releaseEvent},
		{http.MethodPost, "/api/v1/quarantine/verify", a.verifyAll},
		{http.MethodPost, "/api/v1/quarantine/release", a.releaseAll},
		{http.MethodGet, "/api/v1/expectations", a.listExpectations},
		{http.MethodPost, "/api/v1/expectations", a.expect},
		{http.MethodGet, "/api/v1/expectations/{id}", a.showExpectation},
		{http.MethodPost, "/api/v1/jobs", a.submit},
		{http.MethodGet, "/api/v1/stats", a.showStats},
		{http.MethodGet, "/api/v1/stream", a.stream},
		{http.MethodGet, "/api/v1/rejections", a.listRejections},
		{http.MethodGet, "/api/v1/targets", a.listTargets},
		{http.MethodPost, "/api/v1/targets/{name}/enable", a.enableTarget},
		{http.MethodPost, "/api/v1/targets/{name}/disable", a.disableTarget},
		{http.MethodGet, "/openapi.yaml", a.showSpecification},
		{http.MethodGet, "/metrics", a.showMetrics},
		{http.MethodGet, "/debug/pprof/", a.showProfile},
		{http.MethodGet, "/debug/pprof/{name}", a.showProfile},

		{http.MethodGet, "/", a.showOverview},
		{http.MethodGet, "/events", a.showEvents},
		{http.MethodGet, "/events/{id}", a.showEventPage},
		{http.MethodGet, "/events/{id}/artifacts/{n}/thumbnail", a.showThumbnail},
		{http.MethodPost, "/events/{id}/replay", a.replayPage},
		{http.MethodPost, "/events/{id}/verify", a.letOutPage(a.deps.Quarantine.VerifyAgain, "verified")},
		{http.MethodPost, "/events/{id}/release", a.letOutPage(a.deps.Quarantine.Release, "released")},
		{http.MethodPost, "/quarantine/verify", a.letAllOutPage(a.deps.Quarantine.VerifyAllAgain, "verified")},
		{http.MethodPost, "/quarantine/release", a.letAllOutPage(a.deps.Quarantine.ReleaseAll, "released")},
		{http.MethodGet, "/replay", a.askReplay},
		{http.MethodPost, "/replay", a.replayManyPage},
		{http.MethodPost, "/targets/{name}/enable", a.switchTargetPage(a.deps.Targets.Enable, "enabled")},
		{http.MethodPost, "/targets/{name}/disable", a.switchTargetPage(a.deps.Targets.Disable, "disabled")},
		{http.MethodGet, "/jobs", a.showJobs},
		{http.MethodPost, "/jobs/expect", a.expectPage},
		{http.MethodPost, "/jobs/submit", a.submitPage},
		{http.MethodGet, "/rejected", a.showRejected},
		{http.MethodGet, "/setup", a.showSetup},
		{http.MethodPost, "/setup", a.showSetup},
		{http.MethodPost, "/setup/sample", a.sendSample},
		{http.MethodGet, "/api", a.showReference},
		{http.MethodGet, "/assets/{name}", a.showAsset},
		{http.MethodGet, loginPath, a.showLogin},
		{http.MethodPost, loginPath, a.login},
		{http.MethodPost, "/logout", a.logout},
	}
}

// Mount puts the surface on a router, with what is done around every request.
func (a *Admin) Mount(router chi.Router) {
	router.Use(a.guard, a.authenticate)
	router.NotFound(a.notFound)
	for _, route := range a.routes() {
		router.Method(route.method, route.pattern, http.HandlerFunc(route.within))
		if route.method == http.MethodGet {
			router.Method(http.MethodHead, route.pattern, http.HandlerFunc(route.within))
		}
	}
}
