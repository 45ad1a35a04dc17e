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
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// ask sends a request to the admin door.
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
		t.Errorf("answer %q: %v", text, err)
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
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.AdminAddr().String()+"/metrics", nil)
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

// A person lets quarantined events out: by asking once more, or in spite of what the vendor says.
func TestQuarantineIsLeftThroughTheAdminDoor(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, trusting(t, place, v))
		var ids []event.ID
		var forged []fakevendor.Job
		for range 4 {
			job := newJob(t, v, fakevendor.JobOptions{State: fakevendor.Forged})
			ids = append(ids, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID)
			forged = append(forged, job)
			r.reaches(t, ids[len(ids)-1], event.Quarantined)
		}
		// The vendor knows the first by now, and is asked at once though its answer is remembered.
		if err := v.SetState(forged[0].ID, fakevendor.Complete); err != nil {
			t.Fatal(err)
		}
		api := "/api/v1/events/" + string(ids[0])
		if status := r.ask(t, client, http.MethodPost, api+"/verify", "", nil); status != http.StatusOK {
			t.Errorf("verify answers %d", status)
		}
		r.reaches(t, ids[0], event.Done)
		if status := r.ask(t, client, http.MethodPost, api+"/release", "", nil); status != http.StatusConflict {
			t.Errorf("the release of a done event answers %d", status)
		}
		if status := r.ask(t, client, http.MethodPost, "/api/v1/events/"+string(ids[1])+"/release", "", nil); status != http.StatusOK {
			t.Errorf("release answers %d", status)
		}
		r.reaches(t, ids[1], event.Done)
		var said struct{ Events int }
		if status := r.ask(t, client, http.MethodPost, "/api/v1/quarantine/verify", "", &said); status != http.StatusOK || said.Events != 2 {
			t.Errorf("verify all answers %d, %+v", status, said)
		}
		for _, id := range ids[2:] {
			r.until(t, func() (bool, any) {
				h, err := r.Stores().History.Load(t.Context(), id)
				return err == nil && h.Event.State == event.Quarantined && len(h.Steps[0].Attempts) == 2, h
			})
		}
		if status := r.ask(t, client, http.MethodPost, "/api/v1/quarantine/release", "", &said); status != http.StatusOK || said.Events != 2 {
			t.Errorf("release all answers %d, %+v", status, said)
		}
		for _, id := range ids[2:] {
			r.reaches(t, id, event.Done)
		}
		if status := r.ask(t, client, http.MethodPost, "/api/v1/events/00000000-0000-7000-8000-000000000000/verify", "", nil); status != http.StatusNotFound {
			t.Errorf("nobody's verification answers %d", status)
		}
	})
}

// jobList is a list of tracked jobs.
type jobList struct {
	Jobs []struct {
		Job, State, Event string
	}
	Counts map[string]int64
}

// A lost callback is found, and its late brother changes nothing.
func TestLostCallbackIsFound(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.Reconcile.After, c.Reconcile.Horizon = 50*time.Millisecond, time.Hour
		r := start(t, c)
		job := newJob(t, v, fakevendor.JobOptions{State: fakevendor.InProgress})
		body := `{"jobs": ["` + job.ID + `"]}`
		var registered jobList
		if status := r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", body, &registered); status != http.StatusOK || len(registered.Jobs) != 1 {
			t.Fatalf("answer %d, %+v", status, registered)
		}
		r.until(t, func() (bool, any) { return v.Looks(job.ID) > 1, v.Looks(job.ID) })
		if err := v.SetState(job.ID, fakevendor.Complete); err != nil {
			t.Fatal(err)
		}
		r.until(t, func() (bool, any) {
			r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", body, &registered)
			return registered.Jobs[0].State == "reconciled", registered
		})
		id := event.ID(registered.Jobs[0].Event)
		if h := r.reaches(t, id, event.Done); h.Event.Origin != event.OriginReconciled || len(h.Artifacts) != 2 {
			t.Errorf("got %+v", h)
		}
		if late := post(t, client, r.webhook(), v.Callback(job, r.webhook())); late.Status != "duplicate" || late.ID != id {
			t.Errorf("the late callback: %+v", late)
		}
		var list jobList
		if status := r.ask(t, client, http.MethodGet, "/api/v1/jobs?state=reconciled", "", &list); status != http.StatusOK || list.Counts["reconciled"] != 1 {
			t.Errorf("list %d, %+v", status, list)
		}
		if text := r.metrics(t, client); !strings.Contains(text, `receiver_reconciled_total{outcome="reconciled"} 1`) {
			t.Errorf("no metric tells:\n%s", text)
		}
		if !strings.Contains(r.log.String(), "callback did not come") {
			t.Error("nobody is told")
		}
	})
}

// What the vendor says at the end counts, and while it says nothing no job is lost.
func TestWhatBecomesOfLostCallbacks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.Reconcile.After, c.Reconcile.Horizon = 50*time.Millisecond, 300*time.Millisecond
		r := start(t, c)
		want := map[string]string{
			newJob(t, v, fakevendor.JobOptions{State: fakevendor.Failed}).ID:     "failed",
			newJob(t, v, fakevendor.JobOptions{State: fakevendor.Deleted}).ID:    "expired",
			newJob(t, v, fakevendor.JobOptions{State: fakevendor.InProgress}).ID: "lost",
			newJob(t, v, fakevendor.JobOptions{State: fakevendor.Forged}).ID:     "lost",
			// The horizon is past when the vendor says its first word of this one.
			newJob(t, v, fakevendor.JobOptions{Troubles: []fakevendor.Trouble{{Kind: fakevendor.Refuse, Times: 5}}}).ID: "reconciled",
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
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		client := newClient(t)
		r := start(t, configuration(t, place))
		for body, want := range map[string]int{
			`{"jobs": ["1"]}`: http.StatusConflict, `{"jobs": []}`: http.StatusBadRequest, `{"jobs": [""]}`: http.StatusBadRequest,
			`{"jobs": ["` + strings.Repeat("x", 300) + `"]}`: http.StatusBadRequest, `[]`: http.StatusBadRequest,
			`{"jobs": ["` + strings.Repeat("x", 1<<20) + `"]}`: http.StatusRequestEntityTooLarge,
		} {
			if status := r.ask(t, client, http.MethodPost, "/api/v1/jobs/track", body, nil); status != want {
				t.Errorf("%.40s answers %d, want %d", body, status, want)
			}
		}
	})
}

// The images leave the vendor when everything is done, and not before; what comes later finds that it is done.
func TestDeletedAtTheVendorWhenDone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.DeleteAfterDone = true
		r := start(t, c)
		job := newJob(t, v, fakevendor.JobOptions{Troubles: []fakevendor.Trouble{{Kind: fakevendor.Drop, Call: fakevendor.CallDelete, Times: 1}}})
		h := r.reaches(t, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID, event.Done)
		if last := h.Steps[len(h.Steps)-1]; last.Handler != "delete-at-vendor" || last.State != event.Done || v.Calls(fakevendor.CallDelete) != 2 {
			t.Errorf("got %+v, %d calls", last, v.Calls(fakevendor.CallDelete))
		}
		impostor, err := v.Impersonate(job)
		if err != nil {
			t.Fatal(err)
		}
		h = r.reaches(t, post(t, client, r.webhook(), v.Callback(impostor, r.webhook())).ID, event.Done)
		for _, step := range h.Steps {
			if step.State != event.Skipped {
				t.Errorf("got %+v", step)
			}
		}
		// What cannot be stored is kept at the vendor.
		broken := newJob(t, v, fakevendor.JobOptions{Faults: []fakevendor.Fault{{Kind: fakevendor.Status, Status: http.StatusUnauthorized}}})
		r.reaches(t, post(t, client, r.webhook(), v.Callback(broken, r.webhook())).ID, event.Dead)
		if n := v.Calls(fakevendor.CallDelete); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}
