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
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// office asks the admin API of a receiver; every answer is held against the specification.
type office struct {
	t      *testing.T
	base   string
	client *http.Client
}

func openOffice(t *testing.T, r *receiver) *office {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &office{t, "http://" + r.AdminAddr().String(), &http.Client{Timeout: patience, Transport: apitest.Load(t).Transport(t, transport)}}
}

func (o *office) ask(method, path string, result any) *http.Response {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), method, o.base+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	answer, err := o.client.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if result != nil {
		if raw, ok := result.(*[]byte); ok {
			*raw = content
		} else if err := json.Unmarshal(content, result); err != nil {
			o.t.Fatalf("%s: %v: %s", path, err, content)
		}
	}
	return answer
}

func (o *office) event(id event.ID) (e admin.Event) {
	o.t.Helper()
	o.ask("GET", "/api/v1/events/"+string(id), &e)
	return e
}

func TestAdminAPI(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, configuration(t, place))
		o := openOffice(t, r)
		send := func(options fakevendor.JobOptions) (id event.ID, body []byte) {
			t.Helper()
			job, err := v.NewJob(options)
			if err != nil {
				t.Fatal(err)
			}
			body = v.Callback(job, r.webhook())
			a := post(t, client, r.webhook(), body)
			r.settled(t, a.ID)
			return a.ID, body
		}
		done, body := send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 400, Height: 300})
		dead, _ := send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 40, Height: 30, Faults: []fakevendor.Fault{{Kind: fakevendor.Status, Status: 404, Times: 1}}})
		stubborn, _ := send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 40, Height: 30, Faults: []fakevendor.Fault{{Kind: fakevendor.Status, Status: 404}}})
		post(t, client, r.webhook(), []byte(`{"jub":"a","token":"hunter2"}`))

		t.Log("list and page")
		var list struct {
			Events []admin.Summary
			Cursor event.ID
		}
		o.ask("GET", "/api/v1/events?limit=2", &list)
		if len(list.Events) != 2 || list.Events[0].ID != stubborn || list.Events[0].Reason != event.ReasonExpired || list.Cursor != dead {
			t.Errorf("list %+v", list)
		}
		cursor := list.Cursor
		list.Cursor = ""
		o.ask("GET", "/api/v1/events?limit=2&cursor="+string(cursor), &list)
		if len(list.Events) != 1 || list.Events[0].ID != done || list.Cursor != "" || list.Events[0].Images != 1 || list.Events[0].First == nil {
			t.Errorf("second page %+v", list)
		}

		t.Log("one event, its body and its files")
		e := o.event(done)
		if e.Status != event.Done || len(e.Steps) != 1 || len(e.Steps[0].Attempts) != 1 || len(e.Artifacts) != 2 || bytes.Contains(e.Payload, []byte(token)) || len(e.Payload) == 0 {
			t.Errorf("event %+v", e)
		}
		var raw []byte
		if answer := o.ask("GET", "/api/v1/events/"+string(done)+"/body", &raw); !bytes.Equal(raw, body) || !strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("body %s, headers %v", raw, answer.Header)
		}
		for _, artifact := range e.Artifacts {
			path := fmt.Sprintf("/api/v1/events/%s/artifacts/%d", done, artifact.Number)
			answer := o.ask("GET", path, &raw)
			isShown := strings.HasPrefix(answer.Header.Get("Content-Disposition"), "inline")
			if int64(len(raw)) != artifact.Bytes || isShown != (artifact.MediaType == "image/png") {
				t.Errorf("%d bytes of %d, headers %v", len(raw), artifact.Bytes, answer.Header)
			}
			if !strings.Contains(answer.Header.Get("Content-Security-Policy"), "sandbox") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", answer.Header)
			}
			if isAttachment := strings.HasPrefix(o.ask("GET", path+"?download=1", nil).Header.Get("Content-Disposition"), "attachment"); !isAttachment {
				t.Error("a download is no attachment")
			}
		}
		if answer := o.ask("GET", "/api/v1/events/"+string(done)+"/artifacts/2", nil); answer.StatusCode != http.StatusNotFound {
			t.Errorf("a file that is not there is answered %d", answer.StatusCode)
		}

		t.Log("replay one")
		var replayed struct{ Steps int }
		o.ask("POST", "/api/v1/events/"+string(dead)+"/replay", &replayed)
		if h := r.settled(t, dead); replayed.Steps != 1 || h.Event.State != event.Done || len(h.Steps[0].Attempts) != 2 {
			t.Errorf("replayed %+v, then %+v", replayed, h)
		}
		o.ask("POST", "/api/v1/events/"+string(dead)+"/replay", &replayed)
		if replayed.Steps != 0 {
			t.Errorf("replayed %+v again", replayed)
		}
		if answer := o.ask("POST", "/api/v1/events/00000000-0000-7000-8000-000000000000/replay", nil); answer.StatusCode != http.StatusNotFound {
			t.Errorf("an event that is not there is answered %d", answer.StatusCode)
		}

		t.Log("replay many")
		var many struct{ Events int }
		if answer := o.ask("POST", "/api/v1/replays?dry_run=true", &many); many.Events != 1 || answer.StatusCode != http.StatusOK {
			t.Errorf("%d would be replayed", many.Events)
		}
		if answer := o.ask("POST", "/api/v1/replays?status=dead", &many); many.Events != 1 || answer.StatusCode != http.StatusAccepted {
			t.Errorf("%d are replayed", many.Events)
		}
		for deadline := time.Now().Add(patience); len(o.event(stubborn).Steps[0].Attempts) < 2; {
			if time.Now().After(deadline) {
				t.Fatal("the event is not replayed")
			}
		}

		t.Log("rejected, targets, statistics, metrics")
		var rejected struct {
			Rejections []struct{ Code, Body string }
		}
		o.ask("GET", "/api/v1/rejections", &rejected)
		if len(rejected.Rejections) != 1 || strings.Contains(rejected.Rejections[0].Body, "hunter2") {
			t.Errorf("rejected %+v", rejected)
		}
		for _, word := range []string{"disable", "enable"} {
			o.ask("POST", "/api/v1/targets/download/"+word, nil)
			var targets struct{ Targets []admin.Target }
			o.ask("GET", "/api/v1/targets", &targets)
			if len(targets.Targets) != 1 || targets.Targets[0].Enabled != (word == "enable") {
				t.Errorf("%sd: %+v", word, targets)
			}
		}
		if answer := o.ask("POST", "/api/v1/targets/nobody/disable", nil); answer.StatusCode != http.StatusNotFound {
			t.Errorf("a target that is not there is answered %d", answer.StatusCode)
		}
		var stats admin.Stats
		o.ask("GET", "/api/v1/stats", &stats)
		if stats.Events[event.Done] != 2 || len(stats.Handlers) != 1 || stats.Rejected.Kept != 1 || len(stats.Rates) == 0 || len(stats.Disks) == 0 {
			t.Errorf("statistics %+v", stats)
		}
		o.ask("GET", "/metrics", &raw)
		for _, want := range []string{
			`receiver_events{state="done"} 2`, `receiver_step_attempts_total{handler="download",outcome="dead",reason="expired"} `, "receiver_backlog ",
			`receiver_http_requests_total{listener="public",method="POST",route="/webhooks/deep-image/{token}",status="200"} 3`, "go_goroutines ",
		} {
			if !bytes.Contains(raw, []byte(want)) {
				t.Errorf("no %s in the metrics", want)
			}
		}
		if bytes.Contains(raw, []byte(token)) {
			t.Error("the token is in the metrics")
		}
	})
}

// Who listens hears of a new event, and the receiver stops at once all the same.
func TestAdminStream(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := start(t, configuration(t, place))
		client := newClient(t)
		answer, err := client.Get("http://" + r.AdminAddr().String() + "/api/v1/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		a := post(t, client, r.webhook(), []byte(`{"job":"a"}`))
		lines := bufio.NewScanner(answer.Body)
		isTold := false
		for !isTold && lines.Scan() {
			isTold = strings.Contains(lines.Text(), string(a.ID))
		}
		if !strings.HasPrefix(lines.Text(), "data: ") {
			t.Errorf("the stream ended with %q, %v", lines.Text(), lines.Err())
		}
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > patience/3 {
			t.Errorf("stopping took %v", took)
		}
	})
}
