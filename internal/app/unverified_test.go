package app_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// bounded is a configuration in which a source may have 256 KiB of unverified bytes and all together 512 KiB.
func bounded(t testing.TB, place *databasetest.Place, v *fakevendortest.Vendor) config.Config {
	t.Helper()
	c := trusting(t, place, v)
	c.Webhook.MaxBodyBytes, c.MaxUnverifiedBytes = 128<<10, 512<<10
	if err := c.HTTP.TrustedProxies.Decode("127.0.0.0/8"); err != nil {
		t.Fatal(err)
	}
	return c
}

// callback returns a callback of a job with a random member of n bytes, which does not compress.
func callback(t testing.TB, job string, n int) []byte {
	t.Helper()
	random := make([]byte, n)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"job":%q,"results":null,"data":{"image":%q}}`, job, base64.StdEncoding.EncodeToString(random)[:n])
}

// padded returns a callback with a member of n bytes beside what it has.
func padded(callback []byte, n int) []byte {
	return bytes.Replace(callback, []byte("{"), []byte(`{"padding":"`+strings.Repeat("x", n)+`",`), 1)
}

// postFrom sends a callback from a client behind the trusted proxy.
func (r *receiver) postFrom(t testing.TB, client *http.Client, source string, header http.Header, body []byte) (a receipt) {
	t.Helper()
	hop := http.Header{"X-Forwarded-For": {source}}
	maps.Copy(hop, header)
	return postWith(t, client, r.webhook(), hop, body)
}

// Callbacks that are not verified fill a bounded part of the disk, and small ones are accepted all the same.
func TestUnverifiedBytesAreBounded(t *testing.T) {
	t.Parallel()
	const large = 100 << 10
	rows := []struct {
		name, source string
		bytes        int
		want         int
	}{
		{name: "D4 first large body of a source", source: "192.0.2.1", bytes: large, want: 200},
		{name: "D4 second large body of a source", source: "192.0.2.1", bytes: large, want: 200},
		{name: "D4 a source has its share", source: "192.0.2.1", bytes: large, want: 503},
		{name: "D4 a small body beyond the share", source: "192.0.2.1", bytes: 60 << 10, want: 200},
		{name: "D4 another source", source: "2001:db8::1", bytes: large, want: 200},
		{name: "D4 same network", source: "2001:db8::2", bytes: large, want: 200},
		{name: "D4 same network has its share", source: "2001:db8::3", bytes: large, want: 503},
		{name: "D4 third source", source: "192.0.2.3", bytes: large, want: 200},
		{name: "D4 fourth source, all is used up", source: "192.0.2.4", bytes: large, want: 503},
		{name: "D4 a small body when all is used up", source: "192.0.2.5", bytes: 500, want: 200},
	}
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := bounded(t, place, v)
		r := start(t, c)
		var ids []event.ID
		for _, row := range rows {
			forged := newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Forged})
			body := padded(v.Callback(forged, r.webhook()), row.bytes)
			var a receipt
			if row.want == http.StatusOK && row.bytes == large { // a callback that arrives during a count is counted twice for a second
				a = r.acceptsFrom(t, client, row.source, nil, body)
			} else if a = r.postFrom(t, client, row.source, nil, body); a.code != row.want {
				t.Errorf("%s: status = %d, want %d", row.name, a.code, row.want)
			}
			if a.code == http.StatusOK {
				ids = append(ids, a.ID)
			}
		}
		for _, id := range ids {
			r.reaches(t, id, event.Quarantined)
		}
		r.stop()
		r = start(t, c)
		if a := r.postFrom(t, client, "192.0.2.1", nil, callback(t, "forged-later", large)); a.code != http.StatusServiceUnavailable {
			t.Errorf("D4 after a restart: status = %d, want 503", a.code)
		}
		r.wantPost(t, client, "/api/v1/events/"+string(ids[0])+"/release", http.StatusOK, nil)
		r.reaches(t, ids[0], event.Done)
		r.acceptsFrom(t, client, "192.0.2.1", nil, callback(t, "forged-again", large))
	})
}

// Small callbacks that are not verified are bounded for each source.
func TestSmallUnverifiedBytesAreBounded(t *testing.T) {
	t.Parallel()
	const small = 60 << 10
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := bounded(t, place, v)
		r := start(t, c)
		forge := func() []byte {
			forged := newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Forged})
			return padded(v.Callback(forged, r.webhook()), small)
		}
		for range 8 { // 480 KiB of 512 KiB
			r.reaches(t, r.acceptsFrom(t, client, "192.0.2.1", nil, forge()).ID, event.Quarantined)
		}
		rows := []struct {
			name, source string
			want         int
		}{
			{name: "D4 a source has its share of small bodies", source: "192.0.2.1", want: 503},
			{name: "D4 small body of another source", source: "192.0.2.2", want: 200},
		}
		for _, restarted := range []bool{false, true} {
			for _, row := range rows {
				if a := r.postFrom(t, client, row.source, nil, forge()); a.code != row.want {
					t.Errorf("%s, restarted %t: status = %d, want %d", row.name, restarted, a.code, row.want)
				}
			}
			genuine := newJob(t, v, fakevendortest.JobOptions{})
			r.reaches(t, r.acceptsFrom(t, client, "192.0.2.1", nil, v.Callback(genuine, r.webhook())).ID, event.Done)
			if !restarted {
				r.stop()
				r = start(t, c)
			}
		}
	})
}

// Verified callbacks do not count, whatever their number. The body as it came counts beside the decoded one.
func TestUnverifiedBytesOfRealAndCodedBodies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, bounded(t, place, v))
		for range 8 {
			job := newJob(t, v, fakevendortest.JobOptions{})
			r.reaches(t, r.acceptsFrom(t, client, "192.0.2.1", nil, padded(v.Callback(job, r.webhook()), 100<<10)).ID, event.Done)
		}
		form, header := formOf(t, callback(t, "forged-form-0", 500), 100<<10)
		r.acceptsFrom(t, client, "192.0.2.6", header, form)
		form, header = formOf(t, callback(t, "forged-form-1", 500), 100<<10)
		r.acceptsFrom(t, client, "192.0.2.6", header, form)
		form, header = formOf(t, callback(t, "forged-form-2", 500), 100<<10)
		if a := r.postFrom(t, client, "192.0.2.6", header, form); a.code != http.StatusServiceUnavailable {
			t.Errorf("D4 small event in a large form: status = %d, want 503", a.code)
		}
		header = http.Header{"Content-Encoding": {"gzip"}}
		r.acceptsFrom(t, client, "192.0.2.7", header, compressed(t, callback(t, "forged-gzip-0", 120<<10)))
		if a := r.postFrom(t, client, "192.0.2.7", header, compressed(t, callback(t, "forged-gzip-1", 120<<10))); a.code != http.StatusServiceUnavailable {
			t.Errorf("D4 compressed body: status = %d, want 503", a.code)
		}
	})
}

// acceptsFrom sends a callback until it is accepted.
func (r *receiver) acceptsFrom(t testing.TB, client *http.Client, source string, header http.Header, body []byte) (a receipt) {
	t.Helper()
	r.until(t, func() (bool, any) {
		a = r.postFrom(t, client, source, header, body)
		return a.code == http.StatusOK, a
	})
	return a
}

// compressed returns a body in gzip.
func compressed(t testing.TB, body []byte) []byte {
	t.Helper()
	var coded bytes.Buffer
	writer := gzip.NewWriter(&coded)
	if _, err := writer.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return coded.Bytes()
}

// formOf returns a form with the callback in one field and n bytes in another.
func formOf(t testing.TB, callback []byte, n int) ([]byte, http.Header) {
	t.Helper()
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	for _, err := range []error{writer.WriteField("payload", string(callback)), writer.WriteField("more", strings.Repeat("x", n)), writer.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return form.Bytes(), http.Header{"Content-Type": {writer.FormDataContentType()}}
}

// Without verification nothing is ever confirmed, so nothing is refused for it.
func TestUnverifiedBytesWithoutVerification(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		c := configuration(t, place)
		c.Webhook.MaxBodyBytes, c.MaxUnverifiedBytes = 128<<10, 256<<10
		r, client := start(t, c), newClient(t)
		for n := range 4 {
			if a := post(t, client, r.webhook(), callback(t, fmt.Sprint("job-", n), 100<<10)); a.code != http.StatusOK {
				t.Errorf("D4 without a key, body %d: status = %d, want 200", n, a.code)
			}
		}
	})
}

// Purged events keep nothing but their rows, and free space for others.
func TestPurgeOfTheQuarantine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := bounded(t, place, v)
		r := start(t, c)
		header := http.Header{"Content-Encoding": {"gzip"}}
		body := compressed(t, callback(t, "forged-1", 120<<10))
		forged := r.acceptsFrom(t, client, "192.0.2.1", header, body).ID
		genuine := newJob(t, v, fakevendortest.JobOptions{})
		done := r.acceptsFrom(t, client, "192.0.2.2", nil, v.Callback(genuine, r.webhook())).ID
		r.reaches(t, forged, event.Quarantined)
		r.reaches(t, done, event.Done)
		const path = "/api/v1/quarantine/purge"
		for _, row := range []struct {
			name, query string
			status      int
			events      int
		}{
			{name: "D4 not old enough", query: "?older_than=1h", status: 200},
			{name: "D4 dry run", query: "?dry_run=true", status: 200, events: 1},
			{name: "D4 not a duration", query: "?older_than=soon", status: 400},
			{name: "D4 negative age", query: "?older_than=-1h", status: 400},
			{name: "D4 purge", status: 200, events: 1},
			{name: "D4 nothing left", status: 200},
		} {
			var got struct{ Events int }
			if r.wantPost(t, client, path+row.query, row.status, &got); got.Events != row.events {
				t.Errorf("%s: events = %d, want %d", row.name, got.Events, row.events)
			}
		}
		h := r.reaches(t, forged, event.Dead)
		if step := h.Steps[0]; step.State != event.Dead || step.Reason != event.ReasonStorage {
			t.Errorf("D4 step = %+v, want dead as storage", step)
		}
		if text := r.text(t, client, "/api/v1/events/"+string(forged)+"/body"); text != "" {
			t.Errorf("D4 body = %.40q, want none", text)
		}
		for suffix, want := range map[string]int{"?payload=true": http.StatusOK, "/original": http.StatusNotFound} {
			if got := r.status(t, client, "/api/v1/events/"+string(forged)+suffix); got != want {
				t.Errorf("D4 GET %s: status = %d, want %d", suffix, got, want)
			}
		}
		if got := r.status(t, client, "/events/"+string(forged)); got != http.StatusOK {
			t.Errorf("D4 page of a purged event: status = %d, want 200", got)
		}
		r.until(t, func() (bool, any) {
			a := r.postFrom(t, client, "192.0.2.1", header, body)
			return a.Status == "duplicate" && a.ID == forged, a
		})
		r.acceptsFrom(t, client, "192.0.2.1", header, compressed(t, callback(t, "forged-2", 120<<10)))
		r.wantPost(t, client, "/api/v1/events/"+string(forged)+"/replay", http.StatusOK, nil)
		r.until(t, func() (bool, any) {
			h, err := r.Stores().History.Load(t.Context(), forged)
			return err == nil && len(h.Steps[0].Attempts) == 2 && h.Steps[0].State == event.Dead && h.Steps[0].Reason == event.ReasonStorage, h
		})
		r.stop()
		report, err := app.Verify(t.Context(), c, false, func(int, int) {})
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("D4 problems of the stores = %+v, error %v; want none", report.Problems, err)
		}
	})
}

// status returns the status of the admin listener's response to a GET.
func (r *receiver) status(t testing.TB, client *http.Client, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.AdminAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
