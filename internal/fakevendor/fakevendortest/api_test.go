package fakevendortest_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// apiResponse is one response of the API.
type apiResponse struct {
	status int
	header http.Header
	body   string
}

// call calls the API with the right key.
func call(t *testing.T, vendor *fakevendortest.Vendor, method, path, body string) (apiResponse, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, vendor.APIURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", vendor.APIKey())
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
	response, err := client.Do(request)
	if err != nil {
		return apiResponse{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return apiResponse{response.StatusCode, response.Header, strings.TrimSpace(string(read))}, err
}

func mustCall(t *testing.T, vendor *fakevendortest.Vendor, method, path, body string) apiResponse {
	t.Helper()
	got, err := call(t, vendor, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAPIFaults(t *testing.T) {
	t.Parallel()
	const whole = `{"status":"complete","job":"J","result_url":"U"}`
	for name, row := range map[string]struct {
		fault  fakevendortest.APIFault
		status int // 0 when the connection breaks
		body   string
		header [2]string
	}{
		"refuse":  {fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 418, Message: "no"}, 418, `{"message":"no"}`, [2]string{}},
		"say":     {fakevendortest.APIFault{Kind: fakevendortest.ReportStatus, Message: "predicting"}, 200, `{"status":"predicting","job":"J","result_url":""}`, [2]string{}},
		"limit":   {fakevendortest.APIFault{Kind: fakevendortest.Limit}, 429, `{"message":"Too many requests","code":"TOO_MANY_REQUESTS"}`, [2]string{"Retry-After", ""}},
		"wait":    {fakevendortest.APIFault{Kind: fakevendortest.Limit, RetryAfter: 7 * time.Second}, 429, "", [2]string{"Retry-After", "7"}},
		"gateway": {fakevendortest.APIFault{Kind: fakevendortest.Gateway}, 502, "", [2]string{"Content-Type", "text/html; charset=utf-8"}},
		"page":    {fakevendortest.APIFault{Kind: fakevendortest.Gateway, Status: 404}, 404, "", [2]string{}},
		"cut":     {fakevendortest.APIFault{Kind: fakevendortest.Truncate}, 200, "", [2]string{"Content-Type", "application/json"}},
		"flood":   {fakevendortest.APIFault{Kind: fakevendortest.Flood}, 200, whole, [2]string{}},
		"lag":     {fakevendortest.APIFault{Kind: fakevendortest.Delay, Pause: time.Millisecond}, 200, whole, [2]string{}},
		"swallow": {fakevendortest.APIFault{Kind: fakevendortest.LoseAnswer}, 0, "", [2]string{}},
		"drop":    {fakevendortest.APIFault{Kind: fakevendortest.Drop}, 0, "", [2]string{}},
		"bounce":  {fakevendortest.APIFault{Kind: fakevendortest.RedirectCall, Location: "http://x.test/"}, 307, "", [2]string{"Location", "http://x.test/"}},
		"mixup":   {fakevendortest.APIFault{Kind: fakevendortest.OtherJob}, 200, strings.Replace(whole, "J", "ce0e7624-634e-11ee-a699-0242ac14000b", 1), [2]string{}},
		"mirror":  {fakevendortest.APIFault{Kind: fakevendortest.EchoKey, Status: 400}, 400, `{"message":"the key the-key is not liked","code":"the-key"}`, [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := start(t)
			row.fault.Times = 1
			job := newJob(t, vendor, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{row.fault}})
			fill := strings.NewReplacer(`"J"`, `"`+job.ID+`"`, `"U"`, `"`+job.ResultURL+`"`)
			got, err := call(t, vendor, http.MethodGet, "/result/"+job.ID, "")
			if (err != nil) != (row.status == 0) || got.status != row.status {
				t.Fatalf("response = %+v, error %v, want status %d", got, err, row.status)
			}
			if row.body != "" && got.body != fill.Replace(row.body) {
				t.Errorf("body = %.300s, want %.300s", got.body, row.body)
			}
			if row.header[0] != "" && got.header.Get(row.header[0]) != row.header[1] {
				t.Errorf("%s = %q, want %q", row.header[0], got.header.Get(row.header[0]), row.header[1])
			}
			if got := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, ""); got.body != fill.Replace(whole) {
				t.Errorf("second response = %+v, want it without the fault", got)
			}
			if vendor.Looks(job.ID) != 2 || vendor.Calls(fakevendortest.CallResult) != 2 {
				t.Errorf("calls about the job = %d, of all jobs = %d, want 2 of each", vendor.Looks(job.ID), vendor.Calls(fakevendortest.CallResult))
			}
		})
	}
}

func TestDisturbHitsTheCallsItNames(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	struck := 0
	err := vendor.AddAPIFaults(
		fakevendortest.APIFault{Kind: fakevendortest.Refuse, Call: fakevendortest.CallMe, Times: 1, OnHit: func() { struck++ }},
		fakevendortest.APIFault{Kind: fakevendortest.Refuse, Call: fakevendortest.CallResult, Status: 500, Times: 2},
		fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 501, Times: 1},
	)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{500, 500, 501, 200} {
		if got := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, ""); got.status != want {
			t.Errorf("call %d: %+v, want %d", n, got, want)
		}
	}
	if got := mustCall(t, vendor, http.MethodGet, "/me", ""); got.status != 503 || struck != 1 {
		t.Errorf("response = %+v, struck %d times, want 503 and once", got, struck)
	}
	if got := mustCall(t, vendor, http.MethodGet, "/me", ""); got.status != 200 || !strings.Contains(got.body, vendor.APIKey()) {
		t.Errorf("response = %+v, want 200", got)
	}
}

func TestFlappingIsReproducible(t *testing.T) {
	t.Parallel()
	const calls = 200
	flapping := fakevendortest.Flapping{Seed: 3, Fail: 0.1, Limit: 0.1, Drop: 0.1, Slow: 0.1, Pause: time.Microsecond}
	fates := func() (fates string) {
		vendor := start(t)
		if err := vendor.Flap(flapping); err != nil {
			t.Fatal(err)
		}
		for range calls {
			got, err := call(t, vendor, http.MethodGet, "/result/unknown", "")
			fates += map[int]string{404: ".", 503: "f", 429: "l", 0: "d"}[got.status]
			if (err != nil) != (got.status == 0) {
				t.Fatalf("response = %+v, error %v, want an error only without a status", got, err)
			}
		}
		return fates
	}
	first := fates()
	if second := fates(); first != second {
		t.Errorf("outcomes = %s, want %s", second, first)
	}
	for _, fate := range []string{"f", "l", "d"} {
		if share := float64(strings.Count(first, fate)) / calls; share < 0.04 || share > 0.2 {
			t.Errorf("share of %s = %v, want 0.04 to 0.2", fate, share)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	for n, want := range []int{200, 404, 404} {
		if got := mustCall(t, vendor, http.MethodDelete, "/result/"+job.ID, ""); got.status != want || !strings.Contains(got.body, "Image deleted") {
			t.Errorf("response %d = %+v, want %d", n, got, want)
		}
	}
	if got := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, ""); got.status != 404 || got.body != `{"message":"Image deleted","status":"complete"}` {
		t.Errorf("response = %+v, want 404 and the status complete", got)
	}
	if response, _, err := ask(t, job.ResultURL, nil); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("response = %v, error %v, want 404", response, err)
	}
	if got := mustCall(t, vendor, http.MethodDelete, "/result/unknown", ""); got.status != 404 || got.body != `{"message":"Job not found"}` {
		t.Errorf("response = %+v, want 404 without a status", got)
	}
}

func TestStatesChange(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	job := newJob(t, vendor, fakevendortest.JobOptions{State: fakevendortest.Predicting})
	if response, _, err := ask(t, job.ResultURL, nil); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("response = %v, error %v, want 404", response, err)
	}
	if got := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, ""); !strings.Contains(got.body, `"predicting"`) {
		t.Errorf("response = %+v, want the status predicting", got)
	}
	if err := vendor.SetState(job.ID, fakevendortest.Complete); err != nil {
		t.Fatal(err)
	}
	if response, body, err := ask(t, job.ResultURL, nil); err != nil || response.StatusCode != http.StatusOK || digest(body) != job.Images[0].SHA256 {
		t.Errorf("response = %v, error %v, want 200 and the image", response, err)
	}
	if vendor.SetState("unknown", fakevendortest.Complete) == nil || vendor.Expire("unknown", 403) == nil {
		t.Errorf("changes of an unknown job have no error, want one of each")
	}
}

func TestExpiredAddressesAreRenewed(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	job := newJob(t, vendor, fakevendortest.JobOptions{Expired: http.StatusForbidden, Query: "signature=x"})
	address := job.ResultURL
	for _, status := range []int{http.StatusForbidden, http.StatusGone} {
		if response, _, err := ask(t, address, nil); err != nil || response.StatusCode != status {
			t.Errorf("%v, %v, want %d", response, err, status)
		}
		answered := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, "").body
		_, address, _ = strings.Cut(answered, `"result_url":"`)
		address = strings.ReplaceAll(strings.TrimSuffix(address, `"}`), `\u0026`, "&")
		if response, body, err := ask(t, address, nil); err != nil || response.StatusCode != http.StatusOK || digest(body) != job.Images[0].SHA256 {
			t.Errorf("response for %s = %v, error %v, want 200 and the image", address, response, err)
		}
		if err := vendor.Expire(job.ID, http.StatusGone); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPIShapes(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for shape, want := range map[fakevendortest.Shape]string{
		fakevendortest.ResultStorage: `"result_url":"storage://my-bucket/results/image.png"}`,
		fakevendortest.ResultMissing: `"result_url":null}`,
	} {
		job := newJob(t, vendor, fakevendortest.JobOptions{APIShape: shape})
		if got := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, ""); !strings.HasSuffix(got.body, want) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}

func TestInvalidAPIFaults(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for name, fault := range map[string]fakevendortest.APIFault{
		"kind":   {},
		"status": {Kind: fakevendortest.Refuse, Status: 200},
		"times":  {Kind: fakevendortest.Refuse, Times: -1},
	} {
		if vendor.AddAPIFaults(fault) == nil {
			t.Errorf("AddAPIFaults(%s) = nil, want an error", name)
		}
	}
	for name, flapping := range map[string]fakevendortest.Flapping{"share": {Fail: 1.1}, "negative": {Drop: -0.1}, "pause": {Slow: 1}} {
		if vendor.Flap(flapping) == nil {
			t.Errorf("Flap(%s) = nil, want an error", name)
		}
	}
}

func TestCloseEndsLag(t *testing.T) {
	t.Parallel()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.Delay, Times: 1, OnHit: func() { close(reached) }}); err != nil {
		t.Fatal(err)
	}
	broken := make(chan error, 1)
	go func() {
		_, err := call(t, vendor, http.MethodGet, "/me", "")
		broken <- err
	}()
	<-reached
	if err := vendor.Close(); err != nil { // waits for the answer
		t.Error(err)
	}
	if err := <-broken; err == nil {
		t.Errorf("call = nil, want an error")
	}
}

func TestKeyIsRequired(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for _, path := range []string{"/me", "/result/unknown"} {
		for key, want := range map[string]int{"": http.StatusForbidden, "another": http.StatusNotFound} {
			header := http.Header{}
			if key != "" {
				header.Set("X-Api-Key", key)
			}
			response, body, err := ask(t, vendor.APIURL()+path, header)
			if err != nil || response.StatusCode != want || bytes.Contains(body, []byte(vendor.APIKey())) {
				t.Errorf("response for %s with key %q = %v, error %v, body %s, want %d and no key", path, key, response, err, body, want)
			}
		}
	}
}
