package app_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// targetNamed returns the target of a name.
func (r *receiver) targetNamed(t *testing.T, client *http.Client, name string) admin.Target {
	t.Helper()
	var list struct{ Targets []admin.Target }
	r.ask(t, client, http.MethodGet, "/api/v1/targets", "", &list)
	at := slices.IndexFunc(list.Targets, func(found admin.Target) bool { return found.Name == name })
	if at < 0 {
		return admin.Target{}
	}
	return list.Targets[at]
}

// overview returns the first page.
func (r *receiver) overview(t *testing.T, client *http.Client) string {
	t.Helper()
	response, err := client.Get("http://" + r.AdminAddr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// sendJobs sends callbacks of new jobs and returns their events.
func sendJobs(t *testing.T, client *http.Client, r *receiver, v *fakevendortest.Vendor, count int) (ids []event.ID) {
	t.Helper()
	for range count {
		job, err := v.NewJob(fakevendortest.JobOptions{Width: 8, Height: 8})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID)
	}
	return ids
}

// E1: a target that worked and then answers 404 loses nothing. Its events wait without an attempt spent, and go on by themselves.
func TestTargetThatAnswers404(t *testing.T) {
	t.Parallel()
	const events = 20
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		target := newForwardTarget(t)
		c := forwarding(t, configuration(t, place), target)
		c.Retry.MaxAttempts, c.Retry.MinDelay = 2, 10*time.Millisecond
		r := start(t, c)
		sendJobs(t, client, r, v, 1)
		await(t, r, "the target has the first event", func() bool { return target.has() == 1 })
		target.missing.Store(true)
		ids := sendJobs(t, client, r, v, events)
		name := c.Handlers[1].Steps()[0].Name
		await(t, r, "E1 all events wait", func() bool { return r.targetNamed(t, client, name).Deferred == events })
		for _, id := range ids {
			if details := r.reaches(t, id, event.Retrying, event.Dead); details.Steps[1].State != event.Retrying || details.Steps[1].Tries != 0 {
				t.Errorf("step = %+v, want retrying with 0 tries", details.Steps[1])
			}
		}
		target.missing.Store(false)
		for _, id := range ids {
			if details := r.await(t, id); details.Event.State != event.Done {
				t.Errorf("state after the target is back = %s, want done: %+v", details.Event.State, details.Steps)
			}
		}
	})
}

// E4: steps of a target that was removed are reported at the start and on the screen. They can be kept or given up.
func TestRemovedTarget(t *testing.T) {
	t.Parallel()
	const events = 3
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		old := newForwardTarget(t)
		old.fails.Store(true)
		c := configuration(t, place)
		with := forwarding(t, c, old)
		with.Handlers[1].Config.(*forward.Config).CircuitPause = time.Hour
		name := with.Handlers[1].Steps()[0].Name
		first := start(t, with)
		ids := sendJobs(t, client, first, v, events)
		for _, id := range ids {
			first.reaches(t, id, event.Retrying)
		}
		first.stop()
		wantReport := func(c config.Config, level string, want int) *receiver {
			t.Helper()
			r := start(t, c)
			lines := r.log.Records(t, "message", "steps wait for handlers that are not configured")
			if len(lines) != want || want > 0 && (lines[0]["level"] != level || fmt.Sprint(lines[0]["steps"]) != fmt.Sprint(events)) {
				t.Errorf("E4 reports at the start = %v, want %d of level %s with %d steps", lines, want, level, events)
			}
			return r
		}
		second := wantReport(c, "warn", 1)
		if got := second.targetNamed(t, client, name); got.Configured || got.Unattended != events {
			t.Errorf("target = %+v, want %d unattended steps", got, events)
		}
		if page := second.overview(t, client); !strings.Contains(page, `data-unattended="`+name+`"`) || !strings.Contains(page, "/targets/"+name+"/drop") {
			t.Errorf("E4 overview has no mark of %s, want one with buttons", name)
		}
		if metrics := second.metrics(t, client); !strings.Contains(metrics, fmt.Sprintf("receiver_steps_unattended %d\n", events)) {
			t.Errorf("E4 metrics have no receiver_steps_unattended %d, want it", events)
		}
		var result struct{ Steps int }
		second.wantPost(t, client, "/api/v1/targets/"+name+"/keep?by=anna", http.StatusOK, &result)
		if got := second.targetNamed(t, client, name); !strings.HasPrefix(got.KeptBy, "anna from ") || got.Kept.IsZero() || result.Steps != events {
			t.Errorf("kept target = %+v, %d steps, want %d kept by anna", got, result.Steps, events)
		}
		second.wantPost(t, client, "/api/v1/targets/download/keep", http.StatusConflict, nil)
		second.wantPost(t, client, "/api/v1/targets/unknown/drop", http.StatusNotFound, nil)
		second.stop()
		third := wantReport(c, "info", 1)
		third.wantPost(t, client, "/api/v1/targets/"+name+"/drop?by=berta", http.StatusOK, &result)
		if result.Steps != events {
			t.Errorf("steps given up = %d, want %d", result.Steps, events)
		}
		for _, id := range ids {
			details := third.await(t, id)
			if details.Event.State != event.Done || details.Steps[1].State != event.Skipped || !strings.Contains(details.Steps[1].Detail, "berta from 127.0.0.1") {
				t.Errorf("event = %s, step = %+v, want done, skipped by berta", details.Event.State, details.Steps[1])
			}
		}
		third.stop()
		wantReport(c, "", 0)
	})
}

// B9: results on hosts that are not allowed wait. Each host is one warning, and one mark on the overview.
func TestHostsThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	const perHost = 10
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		client := newClient(t)
		r := start(t, configuration(t, place))
		hosts := []string{"one.example", "two.example"}
		for n := range perHost {
			for _, host := range hosts {
				post(t, client, r.webhook(), fmt.Appendf(nil, `{"job":"%s-%d","status":"complete","result_url":"https://%s/%d.png"}`, host, n, host, n))
			}
		}
		want := []workflow.BlockedHost{{Host: hosts[0], Steps: perHost}, {Host: hosts[1], Steps: perHost}}
		await(t, r, "B9 the target names the hosts, each with its results", func() bool { // a result is not counted while it is tried
			return slices.Equal(r.targetNamed(t, client, "download").Hosts, want)
		})
		page := r.overview(t, client)
		for _, host := range hosts {
			if !strings.Contains(page, `data-host="`+host+`"`) {
				t.Errorf("B9 overview has no mark of %s, want one", host)
			}
		}
		warnings := r.log.Records(t, "level", "warn")
		warned := slices.DeleteFunc(warnings, func(line map[string]any) bool { return line["host"] == nil })
		if len(warned) != len(hosts) {
			t.Errorf("B9 warnings about hosts = %d, want %d: %v", len(warned), len(hosts), warned)
		}
	})
}
