package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/google/go-cmp/cmp"
)

// adminAPI is a client of the admin API of a receiver. Every response is checked against the specification.
type adminAPI struct {
	t      *testing.T
	base   string
	client *http.Client
}

func openAdminAPI(t *testing.T, r *receiver) *adminAPI {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &adminAPI{t, "http://" + r.AdminAddr().String(), &http.Client{Timeout: testkit.Timeout, Transport: apitest.Load(t).Transport(t, transport)}}
}

// ask sends a request. It decodes the body into result, or stores it there if that is a *[]byte.
func (a *adminAPI) ask(method, path string, result any) *http.Response {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if result != nil {
		if raw, ok := result.(*[]byte); ok {
			*raw = content
		} else if err := json.Unmarshal(content, result); err != nil {
			a.t.Fatalf("%s: error = %v, want JSON: %s", path, err, content)
		}
	}
	return response
}

// wantStatus sends a request that must have this status.
func (a *adminAPI) wantStatus(t *testing.T, method, path string, want int) {
	t.Helper()
	if got := a.ask(method, path, nil).StatusCode; got != want {
		t.Errorf("%s %s: status = %d, want %d", method, path, got, want)
	}
}

func (a *adminAPI) event(id event.ID) (e admin.Event) {
	a.t.Helper()
	a.ask("GET", "/api/v1/events/"+string(id), &e)
	return e
}

// adminEvents are the events of TestAdminAPI: one that is done, one whose replay succeeds, one whose replay fails again.
type adminEvents struct {
	done, once, dead event.ID
	body             []byte // of done
}

func sendAdminEvents(t *testing.T, r *receiver) (sent adminEvents) {
	t.Helper()
	v, client := vendor(t), newClient(t)
	send := func(options fakevendortest.JobOptions) (id event.ID, body []byte) {
		job, err := v.NewJob(options)
		if err != nil {
			t.Fatal(err)
		}
		body = v.Callback(job, r.webhook())
		id = post(t, client, r.webhook(), body).ID
		r.await(t, id)
		return id, body
	}
	failure := fakevendortest.Fault{Kind: fakevendortest.Status, Status: http.StatusUnauthorized}
	sent.done, sent.body = send(fakevendortest.JobOptions{Format: fakevendortest.PNG, Width: 400, Height: 300})
	sent.once, _ = send(fakevendortest.JobOptions{Format: fakevendortest.PNG, Width: 40, Height: 30, Faults: []fakevendortest.Fault{gone()}})
	sent.dead, _ = send(fakevendortest.JobOptions{Format: fakevendortest.PNG, Width: 40, Height: 30, Faults: []fakevendortest.Fault{failure}})
	post(t, client, r.webhook(), []byte(`{"jub":"a","token":"hunter2"}`))
	return sent
}

const unknownEvent = "/api/v1/events/00000000-0000-7000-8000-000000000000"

func TestAdminAPI(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := start(t, configuration(t, place))
		api := openAdminAPI(t, r)
		sent := sendAdminEvents(t, r)
		t.Run("list", func(t *testing.T) { testEventList(t, api, sent) })
		t.Run("event", func(t *testing.T) { testEvent(t, api, sent) })
		t.Run("artifacts", func(t *testing.T) { testArtifacts(t, api, sent) })
		t.Run("replay", func(t *testing.T) { testReplay(t, api, r, sent) })
		t.Run("bulk replay", func(t *testing.T) { testBulkReplay(t, api, r, sent) })
		t.Run("targets", func(t *testing.T) { testTargets(t, api) })
		t.Run("counts", func(t *testing.T) { testCounts(t, api) })
	})
}

func testEventList(t *testing.T, api *adminAPI, sent adminEvents) {
	type list struct {
		Events []history.ListItem
		Cursor event.ID
	}
	ids := func(l list) (ids []event.ID) {
		for _, e := range l.Events {
			ids = append(ids, e.ID)
		}
		return ids
	}
	var first, second list
	api.ask("GET", "/api/v1/events?limit=2", &first)
	if diff := cmp.Diff([]event.ID{sent.dead, sent.once}, ids(first)); diff != "" || first.Cursor != sent.once {
		t.Fatalf("first page: cursor = %q, want %q; events differ (-want +got):\n%s", first.Cursor, sent.once, diff)
	}
	if got := first.Events[0].Reason; got != event.ReasonAuth {
		t.Errorf("reason = %q, want %q", got, event.ReasonAuth)
	}
	api.ask("GET", "/api/v1/events?limit=2&cursor="+string(first.Cursor), &second)
	if diff := cmp.Diff([]event.ID{sent.done}, ids(second)); diff != "" || second.Cursor != "" {
		t.Fatalf("last page: cursor = %q, want none; events differ (-want +got):\n%s", second.Cursor, diff)
	}
	if got := second.Events[0]; got.Images != 1 || got.First == nil {
		t.Errorf("images = %d, first = %v; want 1 and its number", got.Images, got.First)
	}
}

func testEvent(t *testing.T, api *adminAPI, sent adminEvents) {
	e := api.event(sent.done)
	if e.State != event.Done || len(e.Steps) != 1 || len(e.Steps[0].Attempts) != 1 || len(e.Artifacts) != 2 {
		t.Errorf("event = %+v, want done with 1 step, 1 attempt and 2 artifacts", e)
	}
	if bytes.Contains(e.Payload, []byte(token)) || len(e.Payload) == 0 {
		t.Errorf("payload = %s, want one without the token", e.Payload)
	}
	var raw []byte
	response := api.ask("GET", "/api/v1/events/"+string(sent.done)+"/body", &raw)
	if got := response.Header.Get("Content-Disposition"); !bytes.Equal(raw, sent.body) || !strings.HasPrefix(got, "attachment") {
		t.Errorf("body = %s as %q, want %s as attachment", raw, got, sent.body)
	}
	api.wantStatus(t, "GET", unknownEvent, http.StatusNotFound)
}

func testArtifacts(t *testing.T, api *adminAPI, sent adminEvents) {
	for _, artifact := range api.event(sent.done).Artifacts {
		path := fmt.Sprintf("/api/v1/events/%s/artifacts/%d", sent.done, artifact.Number)
		var raw []byte
		header := api.ask("GET", path, &raw).Header
		want := "attachment"
		if artifact.MediaType == "image/png" {
			want = "inline"
		}
		if got := header.Get("Content-Disposition"); int64(len(raw)) != artifact.Bytes || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d bytes as %q, want %d as %s", artifact.Key, len(raw), got, artifact.Bytes, want)
		}
		if !strings.Contains(header.Get("Content-Security-Policy"), "sandbox") || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers = %v, want a sandbox and nosniff", artifact.Key, header)
		}
		if got := api.ask("GET", path+"?download=1", nil).Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
			t.Errorf("%s: download as %q, want attachment", artifact.Key, got)
		}
	}
	api.wantStatus(t, "GET", "/api/v1/events/"+string(sent.done)+"/artifacts/2", http.StatusNotFound)
}

func testReplay(t *testing.T, api *adminAPI, r *receiver, sent adminEvents) {
	var replayed struct{ Steps int }
	api.ask("POST", "/api/v1/events/"+string(sent.once)+"/replay", &replayed)
	if h := r.await(t, sent.once); replayed.Steps != 1 || h.Event.State != event.Done || len(h.Steps[0].Attempts) != 2 {
		t.Errorf("replayed %d steps, event = %+v; want 1 step, done after 2 attempts", replayed.Steps, h)
	}
	api.ask("POST", "/api/v1/events/"+string(sent.once)+"/replay", &replayed)
	if replayed.Steps != 0 {
		t.Errorf("replayed %d steps again, want 0", replayed.Steps)
	}
	api.wantStatus(t, "POST", unknownEvent+"/replay", http.StatusNotFound)
}

func testBulkReplay(t *testing.T, api *adminAPI, r *receiver, sent adminEvents) {
	for _, row := range []struct {
		path string
		want int
	}{
		{path: "/api/v1/replays?dry_run=true", want: http.StatusOK},
		{path: "/api/v1/replays?status=dead", want: http.StatusAccepted},
	} {
		var counted struct{ Events int }
		if got := api.ask("POST", row.path, &counted).StatusCode; got != row.want || counted.Events != 1 {
			t.Errorf("%s: status = %d, %d events; want %d, 1", row.path, got, counted.Events, row.want)
		}
	}
	r.until(t, func() (bool, any) {
		attempts := api.event(sent.dead).Steps[0].Attempts
		return len(attempts) == 2, attempts
	})
}

func testTargets(t *testing.T, api *adminAPI) {
	for _, action := range []string{"disable", "enable"} {
		api.ask("POST", "/api/v1/targets/download/"+action, nil)
		var list struct{ Targets []admin.Target }
		api.ask("GET", "/api/v1/targets", &list)
		if len(list.Targets) != 1 || list.Targets[0].Enabled != (action == "enable") {
			t.Errorf("targets after %s = %+v, want one with enabled = %t", action, list.Targets, action == "enable")
		}
	}
	api.wantStatus(t, "POST", "/api/v1/targets/unknown/disable", http.StatusNotFound)
}

func testCounts(t *testing.T, api *adminAPI) {
	var rejected struct {
		Rejections []struct{ Code, Body string }
	}
	api.ask("GET", "/api/v1/rejections", &rejected)
	if len(rejected.Rejections) != 1 || strings.Contains(rejected.Rejections[0].Body, "hunter2") {
		t.Errorf("rejections = %+v, want one without its secret", rejected)
	}
	var stats admin.Stats
	api.ask("GET", "/api/v1/stats", &stats)
	if stats.Events[event.Done] != 2 || len(stats.Handlers) != 1 || stats.Rejected.Kept != 1 || len(stats.Rates) == 0 || len(stats.Disks) == 0 {
		t.Errorf("stats = %+v, want 2 events done, 1 handler, 1 rejection kept, rates and disks", stats)
	}
	var metrics []byte
	api.ask("GET", "/metrics", &metrics)
	for _, want := range []string{
		`receiver_events{state="done"} 2`, `receiver_step_attempts_total{handler="download",outcome="dead",reason="auth"} `, "receiver_backlog ",
		`receiver_http_requests_total{listener="public",method="POST",route="/webhooks/deep-image/{token}",status="200"} 3`, "go_goroutines ",
	} {
		if !bytes.Contains(metrics, []byte(want)) {
			t.Errorf("the metrics have no %s, want it", want)
		}
	}
	if bytes.Contains(metrics, []byte(token)) {
		t.Error("metrics contain the token, want them without")
	}
}

// A stream gets a change for a new event, and does not delay the stop of the receiver.
func TestAdminStream(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := start(t, configuration(t, place))
		client := newClient(t)
		answer, err := client.Get("http://" + r.AdminAddr().String() + "/api/v1/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		a := post(t, client, r.webhook(), []byte(`{"job":"a"}`))
		lines := bufio.NewScanner(answer.Body)
		found := false
		for !found && lines.Scan() {
			found = strings.Contains(lines.Text(), string(a.ID))
		}
		if !strings.HasPrefix(lines.Text(), "data: ") {
			t.Errorf("last line = %q, error %v; want data with the event", lines.Text(), lines.Err())
		}
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > testkit.Timeout/3 {
			t.Errorf("stopping took %v, want at most %v", took, testkit.Timeout/3)
		}
	})
}
