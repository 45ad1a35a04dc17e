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
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// forever is a time that no test waits for.
const forever = time.Hour

func TestVerdicts(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	for name, row := range map[string]struct {
		options fakevendor.JobOptions
		want    deepimage.Verdict // U in ResultURL is the job's address
	}{
		"complete":    {fakevendor.JobOptions{}, deepimage.Verdict{State: deepimage.Complete, ResultURL: "U"}},
		"failed":      {fakevendor.JobOptions{State: fakevendor.Failed}, deepimage.Verdict{State: deepimage.Failed, Message: "Image processing failed"}},
		"deleted":     {fakevendor.JobOptions{State: fakevendor.Deleted}, deepimage.Verdict{State: deepimage.Deleted}},
		"unknown":     {fakevendor.JobOptions{State: fakevendor.Forged}, deepimage.Verdict{State: deepimage.Unknown}},
		"received":    {fakevendor.JobOptions{State: fakevendor.Received}, deepimage.Verdict{State: deepimage.Pending, Status: "received"}},
		"not started": {fakevendor.JobOptions{State: fakevendor.NotStarted}, deepimage.Verdict{State: deepimage.Pending, Status: "not_started"}},
		"in progress": {fakevendor.JobOptions{State: fakevendor.InProgress}, deepimage.Verdict{State: deepimage.Pending, Status: "in_progress"}},
		"predicting":  {fakevendor.JobOptions{State: fakevendor.Predicting}, deepimage.Verdict{State: deepimage.Pending, Status: "predicting"}},
		"never seen":  {fakevendor.JobOptions{State: "Ümläut\u202e\n x"}, deepimage.Verdict{State: deepimage.Pending, Status: "Ümläut x"}},
		"storage": {
			fakevendor.JobOptions{APIShape: fakevendor.ResultStorage},
			deepimage.Verdict{State: deepimage.Complete, ResultURL: "storage://my-bucket/results/image.png"},
		},
		"complete without address": {
			fakevendor.JobOptions{APIShape: fakevendor.ResultMissing},
			deepimage.Verdict{State: deepimage.Pending, Status: "complete"},
		},
		"odd id": {fakevendor.JobOptions{ID: "a b/%2e?x=#;é&+"}, deepimage.Verdict{State: deepimage.Complete, ResultURL: "U"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(t, vendor, row.options)
			row.want.Job, row.want.ResultURL = job.ID, strings.ReplaceAll(row.want.ResultURL, "U", job.ResultURL)
			got, err := client.Result(t.Context(), job.ID)
			checkVerdict(t, got, err, row.want)
			if got.Final() != (row.want.State != deepimage.Pending) {
				t.Errorf("final is %t", got.Final())
			}
			if vendor.Requests(job.ResultURL) != 0 {
				t.Error("the result's host was asked")
			}
		})
	}
}

func TestIDsThatLeadElsewhereAreNotAskedFor(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	for _, job := range []string{"", ".", "..", "../me", "a/../../me", `..\me`, "a/./b", strings.Repeat("x", 257)} {
		got, err := client.Result(t.Context(), job)
		checkVerdict(t, got, err, deepimage.Verdict{Job: job, State: deepimage.Unknown})
		if err := client.Delete(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
	for call := range map[fakevendor.Call]bool{fakevendor.CallResult: true, fakevendor.CallDelete: true, fakevendor.CallMe: true} {
		if vendor.Calls(call) != 0 {
			t.Errorf("%d calls of %s", vendor.Calls(call), call)
		}
	}
}

func TestOutagesAreNoVerdicts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		trouble fakevendor.Trouble
		kind    deepimage.Kind
		status  int
		after   time.Duration
		says    string
	}{
		"500":            {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 500, Says: "Oops at https://x/y"}, deepimage.KindUnavailable, 500, 0, "500 Internal Server Error, which is not what was expected: Oops at [address]"},
		"503":            {fakevendor.Trouble{Kind: fakevendor.Refuse}, deepimage.KindUnavailable, 503, 0, "503"},
		"404 of others":  {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 404, Says: "Not Found"}, deepimage.KindUnavailable, 404, 0, "404"},
		"400":            {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 400}, deepimage.KindUnavailable, 400, 0, "400"},
		"404 page":       {fakevendor.Trouble{Kind: fakevendor.Gateway, Status: 404}, deepimage.KindUnavailable, 404, 0, "without a word"},
		"403 page":       {fakevendor.Trouble{Kind: fakevendor.Gateway, Status: 403}, deepimage.KindUnavailable, 403, 0, "without a word"},
		"502 page":       {fakevendor.Trouble{Kind: fakevendor.Gateway}, deepimage.KindUnavailable, 502, 0, "without a word"},
		"cut":            {fakevendor.Trouble{Kind: fakevendor.Cut}, deepimage.KindUnavailable, 200, 0, "not a whole JSON object"},
		"flood":          {fakevendor.Trouble{Kind: fakevendor.Flood}, deepimage.KindUnavailable, 200, 0, "too long"},
		"drop":           {fakevendor.Trouble{Kind: fakevendor.Drop}, deepimage.KindUnavailable, 0, 0, "closed the connection too early"},
		"hang":           {fakevendor.Trouble{Kind: fakevendor.Lag}, deepimage.KindUnavailable, 0, 0, "the time was over"},
		"other job":      {fakevendor.Trouble{Kind: fakevendor.Mixup}, deepimage.KindUnavailable, 200, 0, "another job"},
		"no status":      {fakevendor.Trouble{Kind: fakevendor.Say}, deepimage.KindUnavailable, 200, 0, "without a status"},
		"redirect":       {fakevendor.Trouble{Kind: fakevendor.Bounce, Location: "/rest_api/me"}, deepimage.KindUnavailable, 307, 0, "redirect"},
		"429":            {fakevendor.Trouble{Kind: fakevendor.Limit}, deepimage.KindLimited, 429, 0, "fewer calls"},
		"429 for a time": {fakevendor.Trouble{Kind: fakevendor.Limit, RetryAfter: time.Minute}, deepimage.KindLimited, 429, time.Minute, "fewer calls"},
		"401":            {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 401, Says: "who?"}, deepimage.KindKey, 401, 0, "does not take the key: who?"},
		"403":            {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 403, Says: "No x-api-key header is provided"}, deepimage.KindKey, 403, 0, "does not take the key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := deepimage.Config{}
			if name == "hang" {
				config.Timeout = 50 * time.Millisecond
			}
			vendor, client := setUp(t, config)
			row.trouble.Times = 1
			job := newJob(t, vendor, fakevendor.JobOptions{Troubles: []fakevendor.Trouble{row.trouble}})
			got, err := client.Result(t.Context(), job.ID)
			failed, ok := errors.AsType[*deepimage.Error](err)
			if !ok || failed.Kind != row.kind || failed.Status != row.status || failed.After != row.after || !strings.Contains(failed.Text, row.says) {
				t.Errorf("got %+v, %+v", got, err)
			}
			if got != (deepimage.Verdict{}) {
				t.Errorf("a verdict beside the error: %+v", got)
			}
			if row.kind == deepimage.KindUnavailable && config.Timeout == 0 { // the other kinds make a pause
				got, err := client.Result(t.Context(), job.ID)
				checkVerdict(t, got, err, deepimage.Verdict{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
			}
		})
	}
}

// What is answered to an id that is not the vendor's own pauses nothing, and its source pays for it.
func TestStrangeIDsPauseNothing(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{UnknownPerMinute: 20})
	if err := vendor.Disturb(fakevendor.Trouble{Kind: fakevendor.Gateway, Status: 403, Times: 20}); err != nil {
		t.Fatal(err)
	}
	source := deepimage.From(netip.MustParseAddr("203.0.113.1"))
	for n := range 20 {
		_, err := client.Result(t.Context(), fmt.Sprintf("x' or 1=%d --", n), source)
		if deepimage.KindOf(err) != deepimage.KindJob {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if _, err := client.Result(t.Context(), "x' or 1=1 --", source); deepimage.KindOf(err) != deepimage.KindSource {
		t.Errorf("the source does not pay: %v", err)
	}
	job := newJob(t, vendor, fakevendor.JobOptions{})
	got, err := client.Result(t.Context(), job.ID)
	checkVerdict(t, got, err, deepimage.Verdict{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendor.Processing{})
	client := newClient(t, vendor.APIURL(), deepimage.Config{APIKey: secret.New("another-key")})
	job := newJob(t, vendor, fakevendor.JobOptions{})
	for range 3 {
		got, err := client.Result(t.Context(), job.ID)
		if deepimage.KindOf(err) != deepimage.KindKey || !strings.Contains(err.Error(), "No user found for provided token") {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if vendor.Calls(fakevendor.CallResult) != 1 {
		t.Errorf("asked %d times with a wrong key", vendor.Calls(fakevendor.CallResult))
	}
	if err := client.Check(t.Context()); deepimage.KindOf(err) != deepimage.KindKey {
		t.Errorf("check: %v", err)
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
	if vendor.Calls(fakevendor.CallResult) != 2 || vendor.Calls(fakevendor.CallMe) != 0 {
		t.Error("the check did not ask, or asked for the account")
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	client := newClient(t, address, deepimage.Config{})
	if _, err := client.Result(t.Context(), "job"); deepimage.KindOf(err) != deepimage.KindUnavailable || !strings.Contains(err.Error(), "refused the connection") {
		t.Errorf("%v", err)
	}
	if _, err := client.Submit(t.Context(), []byte(`{}`)); deepimage.KindOf(err) != deepimage.KindUnavailable {
		t.Errorf("a request that was never sent: %v", err)
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{CacheTime: forever, PendingCacheTime: 1})
	job := newJob(t, vendor, fakevendor.JobOptions{State: fakevendor.InProgress})
	for range 2 {
		if got, err := client.Result(t.Context(), job.ID); err != nil || got.State != deepimage.Pending {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if err := vendor.SetState(job.ID, fakevendor.Complete); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, err := client.Result(t.Context(), job.ID)
		checkVerdict(t, got, err, deepimage.Verdict{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
	}
	if vendor.Looks(job.ID) != 3 {
		t.Errorf("%d look-ups", vendor.Looks(job.ID))
	}
	if err := vendor.Expire(job.ID, http.StatusForbidden); err != nil {
		t.Fatal(err)
	}
	want := deepimage.Verdict{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL + "?lease=1"}
	got, err := client.Result(t.Context(), job.ID, deepimage.Fresh())
	checkVerdict(t, got, err, want)
	got, err = client.Result(t.Context(), job.ID)
	checkVerdict(t, got, err, want)
	if vendor.Looks(job.ID) != 4 {
		t.Errorf("%d look-ups", vendor.Looks(job.ID))
	}
}

// TestThoseWhoAskAtOnceShareACall has callers join a look-up that hangs. Their contexts have
// ended, so that none of them waits.
func TestThoseWhoAskAtOnceShareACall(t *testing.T) {
	t.Parallel()
	for name, looks := range map[string][]deepimage.Look{"remembered": nil, "fresh": {deepimage.Fresh()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor, client := setUp(t, deepimage.Config{})
			reached, release := make(chan struct{}), make(chan struct{})
			held := fakevendor.Trouble{Kind: fakevendor.Lag, Pause: 1, Times: 1, Struck: func() { close(reached); <-release }}
			job := newJob(t, vendor, fakevendor.JobOptions{Troubles: []fakevendor.Trouble{held}})
			var asking sync.WaitGroup
			asking.Go(func() {
				got, err := client.Result(t.Context(), job.ID, looks...)
				checkVerdict(t, got, err, deepimage.Verdict{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL})
			})
			<-reached
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			for range 50 {
				if _, err := client.Result(gone, job.ID, looks...); deepimage.KindOf(err) != deepimage.KindCancelled || !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
			}
			close(release)
			asking.Wait()
			if vendor.Looks(job.ID) != 1 {
				t.Errorf("%d calls", vendor.Looks(job.ID))
			}
		})
	}
}

// TestALookUpGoesOnForTheNext lets the only caller leave.
func TestALookUpGoesOnForTheNext(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	reached, release := make(chan struct{}), make(chan struct{})
	held := fakevendor.Trouble{Kind: fakevendor.Lag, Pause: 1, Times: 1, Struck: func() { close(reached); <-release }}
	job := newJob(t, vendor, fakevendor.JobOptions{Troubles: []fakevendor.Trouble{held}})
	leaving, leave := context.WithTimeout(t.Context(), forever)
	go func() { <-reached; leave() }()
	if _, err := client.Result(leaving, job.ID); deepimage.KindOf(err) != deepimage.KindCancelled {
		t.Errorf("%v", err)
	}
	close(release)
	if got, err := client.Result(t.Context(), job.ID); err != nil || got.State != deepimage.Complete || vendor.Looks(job.ID) != 1 {
		t.Errorf("%+v, %v, %d calls", got, err, vendor.Looks(job.ID))
	}
}

func TestASourceOfUnknownJobsHasToWait(t *testing.T) {
	t.Parallel()
	const allowed = 3
	vendor, client := setUp(t, deepimage.Config{UnknownPerMinute: allowed})
	forger, honest := deepimage.From(netip.MustParseAddr("192.0.2.1")), deepimage.From(netip.MustParseAddr("192.0.2.2"))
	job := newJob(t, vendor, fakevendor.JobOptions{})
	for n := range 10 {
		forged := newJob(t, vendor, fakevendor.JobOptions{State: fakevendor.Forged})
		got, err := client.Result(t.Context(), forged.ID, forger)
		if n < allowed {
			checkVerdict(t, got, err, deepimage.Verdict{Job: forged.ID, State: deepimage.Unknown})
			continue
		}
		failed, ok := errors.AsType[*deepimage.Error](err)
		if !ok || failed.Kind != deepimage.KindSource || failed.After <= 0 || failed.After > time.Minute {
			t.Errorf("look-up %d: %+v, %v", n, got, err)
		}
	}
	if calls := vendor.Calls(fakevendor.CallResult); calls != allowed {
		t.Errorf("%d calls", calls)
	}
	if _, err := client.Result(t.Context(), job.ID, forger); deepimage.KindOf(err) != deepimage.KindSource {
		t.Errorf("%v", err)
	}
	if got, err := client.Result(t.Context(), job.ID, honest); err != nil || got.State != deepimage.Complete {
		t.Errorf("another source: %+v, %v", got, err)
	}
	if got, err := client.Result(t.Context(), job.ID, forger); err != nil || got.State != deepimage.Complete {
		t.Errorf("what is remembered costs nothing: %+v, %v", got, err)
	}
	for range 2 * allowed {
		nobody := newJob(t, vendor, fakevendor.JobOptions{State: fakevendor.Forged})
		if _, err := client.Result(t.Context(), nobody.ID, deepimage.From(netip.Addr{})); err != nil {
			t.Errorf("those without an address share one quota: %v", err)
		}
	}
}

func TestCloseCallsOff(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	reached := make(chan struct{}, 2)
	struck := func() { reached <- struct{}{} }
	err := vendor.Disturb(fakevendor.Trouble{Kind: fakevendor.Lag, Struck: struck})
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
			t.Errorf("%v", err)
		}
	}
	for name, call := range map[string]func() error{
		"result": func() error { _, err := client.Result(t.Context(), "job"); return err },
		"delete": func() error { return client.Delete(t.Context(), "job") },
		"submit": func() error { _, err := client.Submit(t.Context(), []byte(`{}`)); return err },
	} {
		if err := call(); deepimage.KindOf(err) != deepimage.KindCancelled {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func TestEncryptedAPI(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != theKey || r.Header.Get("User-Agent") != httpclient.UserAgent() || r.URL.Path != "/base/result/job" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		_, _ = w.Write([]byte(`{"status":"complete","job":"job","result_url":"https://x.test/a.png"}`))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := newClient(t, server.URL+"/base/", deepimage.Config{}, deepimage.WithRootCAs(roots))
	got, err := client.Result(t.Context(), "job")
	checkVerdict(t, got, err, deepimage.Verdict{Job: "job", State: deepimage.Complete, ResultURL: "https://x.test/a.png"})
	stranger := newClient(t, server.URL, deepimage.Config{})
	if _, err := stranger.Result(t.Context(), "job"); deepimage.KindOf(err) != deepimage.KindUnavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}
