package deepimage_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// forever is longer than any test runs.
const forever = time.Hour

func TestResult(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	for name, row := range map[string]struct {
		options fakevendortest.JobOptions
		want    deepimage.JobStatus // U in ResultURL stands for the job's URL
	}{
		"complete":    {want: deepimage.JobStatus{State: deepimage.Complete, ResultURL: "U"}},
		"failed":      {options: fakevendortest.JobOptions{State: fakevendortest.Failed}, want: deepimage.JobStatus{State: deepimage.Failed, Message: "Image processing failed"}},
		"deleted":     {options: fakevendortest.JobOptions{State: fakevendortest.Deleted}, want: deepimage.JobStatus{State: deepimage.Deleted}},
		"unknown":     {options: fakevendortest.JobOptions{State: fakevendortest.Forged}, want: deepimage.JobStatus{State: deepimage.Unknown}},
		"received":    {options: fakevendortest.JobOptions{State: fakevendortest.Received}, want: deepimage.JobStatus{State: deepimage.Pending, Status: "received"}},
		"not started": {options: fakevendortest.JobOptions{State: fakevendortest.NotStarted}, want: deepimage.JobStatus{State: deepimage.Pending, Status: "not_started"}},
		"in progress": {options: fakevendortest.JobOptions{State: fakevendortest.InProgress}, want: deepimage.JobStatus{State: deepimage.Pending, Status: "in_progress"}},
		"predicting":  {options: fakevendortest.JobOptions{State: fakevendortest.Predicting}, want: deepimage.JobStatus{State: deepimage.Pending, Status: "predicting"}},
		"never seen":  {options: fakevendortest.JobOptions{State: "Ümläut\u202e\n x"}, want: deepimage.JobStatus{State: deepimage.Pending, Status: "Ümläut x"}},
		"storage": {
			options: fakevendortest.JobOptions{APIShape: fakevendortest.ResultStorage},
			want:    deepimage.JobStatus{State: deepimage.Complete, ResultURL: "storage://my-bucket/results/image.png"},
		},
		"complete without address": {
			options: fakevendortest.JobOptions{APIShape: fakevendortest.ResultMissing},
			want:    deepimage.JobStatus{State: deepimage.Pending, Status: "complete"},
		},
		"odd id": {options: fakevendortest.JobOptions{ID: "a b/%2e?x=#;é&+"}, want: deepimage.JobStatus{State: deepimage.Complete, ResultURL: "U"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(t, vendor, row.options)
			row.want.Job, row.want.ResultURL = job.ID, strings.ReplaceAll(row.want.ResultURL, "U", job.ResultURL)
			got, err := client.Result(t.Context(), job.ID)
			checkStatus(t, got, err, row.want)
			final := row.want.State != deepimage.Pending && row.want.State != deepimage.Unknown
			if got.IsFinal() != final {
				t.Errorf("IsFinal() = %t, want %t", got.IsFinal(), final)
			}
			if vendor.Requests(job.ResultURL) != 0 {
				t.Error("the result's host was asked, want no request")
			}
		})
	}
}

func TestInvalidJobIDsAreNotSent(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	for _, job := range []string{"", ".", "..", "../me", "a/../../me", `..\me`, "a/./b", strings.Repeat("x", 257)} {
		got, err := client.Result(t.Context(), job)
		checkStatus(t, got, err, deepimage.JobStatus{Job: job, State: deepimage.Unknown})
		if err := client.Delete(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
	for call := range map[fakevendortest.Call]bool{fakevendortest.CallResult: true, fakevendortest.CallDelete: true, fakevendortest.CallMe: true} {
		if vendor.Calls(call) != 0 {
			t.Errorf("calls of %s = %d, want 0", call, vendor.Calls(call))
		}
	}
}

func TestResultErrors(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault  fakevendortest.APIFault
		kind   deepimage.Kind
		status int
		after  time.Duration
		shows  string // of the vendor's message
	}{
		"500":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 500, Message: "Oops at https://x/y"}, kind: deepimage.KindUnavailable, status: 500, shows: "Oops at [address]"},
		"503":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse}, kind: deepimage.KindUnavailable, status: 503},
		"404 of others":  {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 404, Message: "Not Found"}, kind: deepimage.KindUnavailable, status: 404},
		"400":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 400}, kind: deepimage.KindUnavailable, status: 400},
		"404 page":       {fault: fakevendortest.APIFault{Kind: fakevendortest.Gateway, Status: 404}, kind: deepimage.KindUnavailable, status: 404},
		"403 page":       {fault: fakevendortest.APIFault{Kind: fakevendortest.Gateway, Status: 403}, kind: deepimage.KindUnavailable, status: 403},
		"502 page":       {fault: fakevendortest.APIFault{Kind: fakevendortest.Gateway}, kind: deepimage.KindUnavailable, status: 502},
		"cut":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Truncate}, kind: deepimage.KindUnavailable, status: 200},
		"flood":          {fault: fakevendortest.APIFault{Kind: fakevendortest.Flood}, kind: deepimage.KindUnavailable, status: 200},
		"drop":           {fault: fakevendortest.APIFault{Kind: fakevendortest.Drop}, kind: deepimage.KindUnavailable},
		"hang":           {fault: fakevendortest.APIFault{Kind: fakevendortest.Delay}, kind: deepimage.KindUnavailable},
		"other job":      {fault: fakevendortest.APIFault{Kind: fakevendortest.OtherJob}, kind: deepimage.KindUnavailable, status: 200},
		"no status":      {fault: fakevendortest.APIFault{Kind: fakevendortest.ReportStatus}, kind: deepimage.KindUnavailable, status: 200},
		"redirect":       {fault: fakevendortest.APIFault{Kind: fakevendortest.RedirectCall, Location: "/rest_api/me"}, kind: deepimage.KindUnavailable, status: 307},
		"429":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Limit}, kind: deepimage.KindLimited, status: 429},
		"429 for a time": {fault: fakevendortest.APIFault{Kind: fakevendortest.Limit, RetryAfter: time.Minute}, kind: deepimage.KindLimited, status: 429, after: time.Minute},
		"401":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 401, Message: "who?"}, kind: deepimage.KindKey, status: 401, shows: "who?"},
		"403":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 403, Message: "No x-api-key header is provided"}, kind: deepimage.KindKey, status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := deepimage.Config{}
			if name == "hang" {
				config.Timeout = 50 * time.Millisecond
			}
			vendor, client := setUp(t, config)
			row.fault.Times = 1
			job := newJob(t, vendor, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{row.fault}})
			got, err := client.Result(t.Context(), job.ID)
			failed, ok := errors.AsType[*deepimage.Error](err)
			if !ok || failed.Kind != row.kind || failed.Status != row.status || failed.After != row.after || !strings.Contains(failed.Text, row.shows) {
				t.Errorf("Result() = %+v, want kind %s, status %d, after %s, with %q", err, row.kind, row.status, row.after, row.shows)
			}
			if got != (deepimage.JobStatus{}) {
				t.Errorf("Result() = %+v with an error, want no status", got)
			}
			if row.kind == deepimage.KindUnavailable && config.Timeout == 0 { // the other kinds make a pause
				got, err := client.Result(t.Context(), job.ID)
				checkStatus(t, got, err, deepimage.JobStatus{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
			}
		})
	}
}

// TestForeignJobIDs wants no pause for the response to an id that is not a UUID, and a charge of its source.
func TestForeignJobIDs(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{UnknownPerMinute: 20})
	if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.Gateway, Status: 403, Times: 20}); err != nil {
		t.Fatal(err)
	}
	source := deepimage.FromSource(netip.MustParseAddr("203.0.113.1"))
	for n := range 20 {
		_, err := client.Result(t.Context(), fmt.Sprintf("x' or 1=%d --", n), source)
		if deepimage.KindOf(err) != deepimage.KindJob {
			t.Fatalf("lookup %d = %v, want kind %s", n, err, deepimage.KindJob)
		}
	}
	if _, err := client.Result(t.Context(), "x' or 1=1 --", source); deepimage.KindOf(err) != deepimage.KindSource {
		t.Errorf("lookup after the limit = %v, want kind %s", err, deepimage.KindSource)
	}
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	got, err := client.Result(t.Context(), job.ID)
	checkStatus(t, got, err, deepimage.JobStatus{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Processing{})
	client := newClient(t, vendor.APIURL(), deepimage.Config{APIKey: secret.New("another-key")})
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	for range 3 {
		got, err := client.Result(t.Context(), job.ID)
		if deepimage.KindOf(err) != deepimage.KindKey || !strings.Contains(err.Error(), "No user found for provided token") {
			t.Errorf("Result() = %+v, %v, want kind %s with the vendor's message", got, err, deepimage.KindKey)
		}
	}
	if vendor.Calls(fakevendortest.CallResult) != 1 {
		t.Errorf("calls with a wrong key = %d, want 1", vendor.Calls(fakevendortest.CallResult))
	}
	if err := client.Check(t.Context()); deepimage.KindOf(err) != deepimage.KindKey {
		t.Errorf("Check() = %v, want kind %s", err, deepimage.KindKey)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	for range 2 {
		if err := client.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if vendor.Calls(fakevendortest.CallResult) != 2 || vendor.Calls(fakevendortest.CallMe) != 0 {
		t.Errorf("calls = %d of results, %d of the account, want 2 and 0", vendor.Calls(fakevendortest.CallResult), vendor.Calls(fakevendortest.CallMe))
	}
}

func TestUnreachableAPI(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	client := newClient(t, address, deepimage.Config{})
	if _, err := client.Result(t.Context(), "job"); deepimage.KindOf(err) != deepimage.KindUnavailable || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Result() = %v, want kind %s because of %v", err, deepimage.KindUnavailable, syscall.ECONNREFUSED)
	}
	if _, err := client.Submit(t.Context(), []byte(`{}`)); deepimage.KindOf(err) != deepimage.KindUnavailable {
		t.Errorf("Submit() = %v, want kind %s", err, deepimage.KindUnavailable)
	}
}

func TestStatusesAreCached(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{CacheTime: forever, PendingCacheTime: 1})
	job := newJob(t, vendor, fakevendortest.JobOptions{State: fakevendortest.InProgress})
	for range 2 {
		if got, err := client.Result(t.Context(), job.ID); err != nil || got.State != deepimage.Pending {
			t.Fatalf("Result() = %+v, %v, want state %s", got, err, deepimage.Pending)
		}
	}
	if err := vendor.SetState(job.ID, fakevendortest.Complete); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, err := client.Result(t.Context(), job.ID)
		checkStatus(t, got, err, deepimage.JobStatus{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
	}
	if vendor.Looks(job.ID) != 3 {
		t.Errorf("lookups = %d, want 3", vendor.Looks(job.ID))
	}
	if err := vendor.Expire(job.ID, http.StatusForbidden); err != nil {
		t.Fatal(err)
	}
	want := deepimage.JobStatus{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL + "?lease=1"}
	got, err := client.Result(t.Context(), job.ID, deepimage.Fresh())
	checkStatus(t, got, err, want)
	got, err = client.Result(t.Context(), job.ID)
	checkStatus(t, got, err, want)
	if vendor.Looks(job.ID) != 4 {
		t.Errorf("lookups = %d, want 4", vendor.Looks(job.ID))
	}
}

// TestConcurrentLookupsShareACall has callers join a lookup that hangs. Their contexts have ended, so none of them waits.
func TestConcurrentLookupsShareACall(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]deepimage.LookupOption{"cached": nil, "fresh": {deepimage.Fresh()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor, client := setUp(t, deepimage.Config{})
			reached, release := make(chan struct{}), make(chan struct{})
			held := fakevendortest.APIFault{Kind: fakevendortest.Delay, Pause: 1, Times: 1, OnHit: func() { close(reached); <-release }}
			job := newJob(t, vendor, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{held}})
			var asking sync.WaitGroup
			asking.Go(func() {
				got, err := client.Result(t.Context(), job.ID, options...)
				checkStatus(t, got, err, deepimage.JobStatus{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
			})
			<-reached
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			for range 50 {
				if _, err := client.Result(gone, job.ID, options...); deepimage.KindOf(err) != deepimage.KindCancelled || !errors.Is(err, context.Canceled) {
					t.Errorf("Result() = %v, want kind %s because of %v", err, deepimage.KindCancelled, context.Canceled)
				}
			}
			close(release)
			asking.Wait()
			if vendor.Looks(job.ID) != 1 {
				t.Errorf("lookups = %d, want 1", vendor.Looks(job.ID))
			}
		})
	}
}

// TestLookupContinues lets the only caller leave.
func TestLookupContinues(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	reached, release := make(chan struct{}), make(chan struct{})
	held := fakevendortest.APIFault{Kind: fakevendortest.Delay, Pause: 1, Times: 1, OnHit: func() { close(reached); <-release }}
	job := newJob(t, vendor, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{held}})
	leaving, leave := context.WithTimeout(t.Context(), forever)
	go func() { <-reached; leave() }()
	if _, err := client.Result(leaving, job.ID); deepimage.KindOf(err) != deepimage.KindCancelled {
		t.Errorf("Result() = %v, want kind %s", err, deepimage.KindCancelled)
	}
	close(release)
	if got, err := client.Result(t.Context(), job.ID); err != nil || got.State != deepimage.Complete || vendor.Looks(job.ID) != 1 {
		t.Errorf("Result() = %+v, %v after %d lookups, want state %s after 1", got, err, vendor.Looks(job.ID), deepimage.Complete)
	}
}

func TestSourceOfUnknownJobsIsLimited(t *testing.T) {
	t.Parallel()
	const allowed = 3
	vendor, client := setUp(t, deepimage.Config{UnknownPerMinute: allowed})
	forger, honest := deepimage.FromSource(netip.MustParseAddr("192.0.2.1")), deepimage.FromSource(netip.MustParseAddr("192.0.2.2"))
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	for n := range 10 {
		forged := newJob(t, vendor, fakevendortest.JobOptions{State: fakevendortest.Forged})
		got, err := client.Result(t.Context(), forged.ID, forger)
		if n < allowed {
			checkStatus(t, got, err, deepimage.JobStatus{Job: forged.ID, State: deepimage.Unknown})
			continue
		}
		failed, ok := errors.AsType[*deepimage.Error](err)
		if !ok || failed.Kind != deepimage.KindSource || failed.After <= 0 || failed.After > time.Minute {
			t.Errorf("lookup %d = %+v, %v, want kind %s after at most 1m", n, got, err, deepimage.KindSource)
		}
	}
	if calls := vendor.Calls(fakevendortest.CallResult); calls != allowed {
		t.Errorf("calls = %d, want %d", calls, allowed)
	}
	if _, err := client.Result(t.Context(), job.ID, forger); deepimage.KindOf(err) != deepimage.KindSource {
		t.Errorf("Result() of a limited source = %v, want kind %s", err, deepimage.KindSource)
	}
	if got, err := client.Result(t.Context(), job.ID, honest); err != nil || got.State != deepimage.Complete {
		t.Errorf("Result() of another source = %+v, %v, want state %s", got, err, deepimage.Complete)
	}
	if got, err := client.Result(t.Context(), job.ID, forger); err != nil || got.State != deepimage.Complete {
		t.Errorf("Result() from the cache = %+v, %v, want state %s", got, err, deepimage.Complete)
	}
	for range 2 * allowed {
		forged := newJob(t, vendor, fakevendortest.JobOptions{State: fakevendortest.Forged})
		if _, err := client.Result(t.Context(), forged.ID, deepimage.FromSource(netip.Addr{})); err != nil {
			t.Errorf("Result() without a source = %v, want no error", err)
		}
	}
}

func TestCloseCancels(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	reached := make(chan struct{}, 2)
	struck := func() { reached <- struct{}{} }
	err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.Delay, OnHit: struck})
	if err != nil {
		t.Fatal(err)
	}
	failures := make(chan error, 2)
	go func() {
		_, err := client.Result(t.Context(), "job")
		failures <- err
	}()
	go func() { failures <- client.Delete(t.Context(), "job") }()
	<-reached
	<-reached
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-failures; deepimage.KindOf(err) != deepimage.KindCancelled {
			t.Errorf("call during Close() = %v, want kind %s", err, deepimage.KindCancelled)
		}
	}
	for name, call := range map[string]func() error{
		"result": func() error { _, err := client.Result(t.Context(), "job"); return err },
		"delete": func() error { return client.Delete(t.Context(), "job") },
		"submit": func() error { _, err := client.Submit(t.Context(), []byte(`{}`)); return err },
	} {
		if err := call(); deepimage.KindOf(err) != deepimage.KindCancelled {
			t.Errorf("%s after Close() = %v, want kind %s", name, err, deepimage.KindCancelled)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != theKey || r.Header.Get("User-Agent") != httpclient.UserAgent() || r.URL.Path != "/base/result/job" {
			t.Errorf("request = %s %v, want the key, our User-Agent and the path /base/result/job", r.URL, r.Header)
		}
		_, _ = w.Write([]byte(`{"status":"complete","job":"job","result_url":"https://x.test/a.png"}`))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := newClient(t, server.URL+"/base/", deepimage.Config{}, deepimage.WithRootCAs(roots))
	got, err := client.Result(t.Context(), "job")
	checkStatus(t, got, err, deepimage.JobStatus{Job: "job", State: deepimage.Complete, ResultURL: "https://x.test/a.png"})
	other := newClient(t, server.URL, deepimage.Config{})
	if _, err := other.Result(t.Context(), "job"); deepimage.KindOf(err) != deepimage.KindUnavailable {
		t.Errorf("Result() from an untrusted server = %v, want kind %s", err, deepimage.KindUnavailable)
	}
}
