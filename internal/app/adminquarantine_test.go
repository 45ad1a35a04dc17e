package app_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// ask sends a request to the admin API and decodes its response.
func (r *receiver) ask(t testing.TB, client *http.Client, method, path, body string, into any) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.AdminAddr().String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Errorf("body = %q, error %v; want JSON", text, err)
	}
	return response.StatusCode
}

// track registers jobs whose callbacks are expected.
func (r *receiver) track(t testing.TB, client *http.Client, ids ...string) {
	t.Helper()
	body, err := json.Marshal(map[string][]string{"jobs": ids})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", string(body), nil); got != http.StatusOK {
		t.Fatalf("tracking %d jobs: status = %d, want 200", len(ids), got)
	}
}

func (r *receiver) metrics(t testing.TB, client *http.Client) string {
	t.Helper()
	return r.text(t, client, "/metrics")
}

// text returns what the admin listener answers to a GET.
func (r *receiver) text(t testing.TB, client *http.Client, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.AdminAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Quarantined events are verified again, or released without verification, one by one and all together.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, trusting(t, place, v))
		var ids []event.ID
		var forged []fakevendortest.Job
		for range 4 {
			job := newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Forged})
			ids = append(ids, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID)
			forged = append(forged, job)
			r.reaches(t, ids[len(ids)-1], event.Quarantined)
		}
		// The vendor knows the first job by now. Its cached answer is not used.
		if err := v.SetState(forged[0].ID, fakevendortest.Complete); err != nil {
			t.Fatal(err)
		}
		api := "/api/v1/events/" + string(ids[0])
		r.wantPost(t, client, api+"/verify", http.StatusOK, nil)
		r.reaches(t, ids[0], event.Done)
		r.wantPost(t, client, api+"/release", http.StatusConflict, nil)
		r.wantPost(t, client, "/api/v1/events/"+string(ids[1])+"/release", http.StatusOK, nil)
		r.reaches(t, ids[1], event.Done)
		var all struct{ Events int }
		if r.wantPost(t, client, "/api/v1/quarantine/verify", http.StatusOK, &all); all.Events != 2 {
			t.Errorf("verified %d events again, want 2", all.Events)
		}
		for _, id := range ids[2:] {
			r.until(t, func() (bool, any) {
				h, err := r.Stores().History.Load(t.Context(), id)
				return err == nil && h.Event.State == event.Quarantined && len(h.Steps[0].Attempts) == 2, h
			})
		}
		if r.wantPost(t, client, "/api/v1/quarantine/release", http.StatusOK, &all); all.Events != 2 {
			t.Errorf("released %d events, want 2", all.Events)
		}
		for _, id := range ids[2:] {
			r.reaches(t, id, event.Done)
		}
		r.wantPost(t, client, unknownEvent+"/verify", http.StatusNotFound, nil)
	})
}

// wantPost sends an empty POST that must have this status, and decodes the response into result.
func (r *receiver) wantPost(t testing.TB, client *http.Client, path string, want int, result any) {
	t.Helper()
	if got := r.ask(t, client, http.MethodPost, path, "", result); got != want {
		t.Errorf("POST %s: status = %d, want %d", path, got, want)
	}
}

// jobList is a list of tracked jobs.
type jobList struct {
	Jobs []struct {
		Job, State, Event string
	}
	Counts map[string]int64
}

// The result of a lost callback is found by asking, and a late callback is a duplicate.
func TestLostCallbackIsReconciled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.Reconcile.After, c.Reconcile.Horizon = 50*time.Millisecond, time.Hour
		r := start(t, c)
		job := newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.InProgress})
		body := `{"jobs": ["` + job.ID + `"]}`
		var registered jobList
		if status := r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", body, &registered); status != http.StatusOK || len(registered.Jobs) != 1 {
			t.Fatalf("status = %d, jobs = %+v; want 200 and one job", status, registered.Jobs)
		}
		r.until(t, func() (bool, any) { return v.Looks(job.ID) > 1, v.Looks(job.ID) })
		if err := v.SetState(job.ID, fakevendortest.Complete); err != nil {
			t.Fatal(err)
		}
		r.until(t, func() (bool, any) {
			r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", body, &registered)
			return registered.Jobs[0].State == "reconciled", registered
		})
		id := event.ID(registered.Jobs[0].Event)
		if h := r.reaches(t, id, event.Done); h.Event.Origin != event.OriginReconciled || len(h.Artifacts) != 2 {
			t.Errorf("origin = %s, %d artifacts; want reconciled, 2", h.Event.Origin, len(h.Artifacts))
		}
		if late := post(t, client, r.webhook(), v.Callback(job, r.webhook())); late.Status != "duplicate" || late.ID != id {
			t.Errorf("late callback: receipt = %+v, want a duplicate of %s", late, id)
		}
		var list jobList
		if status := r.ask(t, client, http.MethodGet, "/api/v1/jobs?state=reconciled", "", &list); status != http.StatusOK || list.Counts["reconciled"] != 1 {
			t.Errorf("status = %d, list = %+v; want 200 and one reconciled job", status, list)
		}
		const want = `receiver_reconciled_total{outcome="reconciled"} 1`
		if got := r.metrics(t, client); !strings.Contains(got, want) {
			t.Errorf("metrics have no %s, want it:\n%s", want, got)
		}
		if records := r.log.Records(t, "level", "warn"); !slices.ContainsFunc(records, func(r map[string]any) bool { return r["job"] == job.ID }) {
			t.Errorf("warnings = %v, want one about job %s", records, job.ID)
		}
	})
}

// The state of a job without a callback is that of the API at the end. While the API does not respond, no job is lost.
func TestStatesOfLostCallbacks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.Reconcile.After, c.Reconcile.Horizon = 50*time.Millisecond, 300*time.Millisecond
		r := start(t, c)
		want := map[string]string{
			newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Failed}).ID:     "failed",
			newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Deleted}).ID:    "expired",
			newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.InProgress}).ID: "lost",
			newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Forged}).ID:     "lost",
			// The first response about this job comes after its horizon.
			newJob(t, v, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{{Kind: fakevendortest.Refuse, Times: 5}}}).ID: "reconciled",
		}
		body, err := json.Marshal(map[string][]string{"jobs": slices.Collect(maps.Keys(want))})
		if err != nil {
			t.Fatal(err)
		}
		r.until(t, func() (bool, any) {
			var now jobList
			r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", string(body), &now)
			states := map[string]string{}
			for _, e := range now.Jobs {
				states[e.Job] = e.State
			}
			return maps.Equal(states, want), states
		})
	})
}

func TestTrackRefusesInvalidJobs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		client := newClient(t)
		r := start(t, configuration(t, place))
		for body, want := range map[string]int{
			`{"jobs": ["1"]}`: http.StatusConflict, `{"jobs": []}`: http.StatusBadRequest, `{"jobs": [""]}`: http.StatusBadRequest,
			`{"jobs": ["` + strings.Repeat("x", 300) + `"]}`: http.StatusBadRequest, `[]`: http.StatusBadRequest,
			`{"jobs": ["` + strings.Repeat("x", 1<<20) + `"]}`: http.StatusRequestEntityTooLarge,
		} {
			if status := r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", body, nil); status != want {
				t.Errorf("%.40s: status = %d, want %d", body, status, want)
			}
		}
	})
}

// The images are deleted at the vendor when all steps are done. Later callbacks of the job are skipped.
func TestDeletedAtTheVendorWhenDone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.DeleteAfterDone = true
		r := start(t, c)
		job := newJob(t, v, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{{Kind: fakevendortest.Drop, Call: fakevendortest.CallDelete, Times: 1}}})
		h := r.reaches(t, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID, event.Done)
		if last := h.Steps[len(h.Steps)-1]; last.Handler != "delete-at-vendor" || last.State != event.Done || v.Calls(fakevendortest.CallDelete) != 2 {
			t.Errorf("last step = %+v after %d calls, want delete-at-vendor done after 2", last, v.Calls(fakevendortest.CallDelete))
		}
		impostor, err := v.Impersonate(job)
		if err != nil {
			t.Fatal(err)
		}
		h = r.reaches(t, post(t, client, r.webhook(), v.Callback(impostor, r.webhook())).ID, event.Done)
		for _, step := range h.Steps {
			if step.State != event.Skipped {
				t.Errorf("step %s = %s, want skipped", step.Handler, step.State)
			}
		}
		// An image that cannot be stored is not deleted.
		broken := newJob(t, v, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: http.StatusUnauthorized}}})
		r.reaches(t, post(t, client, r.webhook(), v.Callback(broken, r.webhook())).ID, event.Dead)
		if n := v.Calls(fakevendortest.CallDelete); n != 2 {
			t.Errorf("%d delete calls, want 2", n)
		}
	})
}
