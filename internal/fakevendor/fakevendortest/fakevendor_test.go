package fakevendortest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"go.uber.org/goleak"
	_ "golang.org/x/image/webp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *fakevendortest.Vendor {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{APIKey: "the-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vendor.Close(); err != nil {
			t.Error(err)
		}
	})
	return vendor
}

func newJob(t *testing.T, vendor *fakevendortest.Vendor, options fakevendortest.JobOptions) fakevendortest.Job {
	t.Helper()
	job, err := vendor.NewJob(options)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// ask sends one request and reads the answer; the body is what came before err.
func ask(t *testing.T, url string, header http.Header) (response *http.Response, body []byte, err error) {
	t.Helper()
	response, err = open(t, url, header)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	return response, body, err
}

// open sends one request on a connection of its own.
func open(t *testing.T, url string, header http.Header) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
	return client.Do(request)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestImagesMatchJob(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for name, options := range map[string]fakevendortest.JobOptions{
		"default":                               {},
		"jpeg":                                  {Format: fakevendortest.JPEG, Width: 321, Height: 123},
		"webp":                                  {Format: fakevendortest.WebP, Width: 97, Height: 131},
		"one pixel":                             {Width: 1, Height: 1},
		"small on a fly":                        {Bytes: 4 << 10},
		"large":                                 {Bytes: 1 << 20},
		"named":                                 {FileName: "my photo (1).png", Query: "X-Amz-Signature=secret"},
		"webp that the encoder breaks at first": {Format: fakevendortest.WebP, Width: 300, Height: 500, Seed: 173},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := newJob(t, vendor, options).Images[0]
			response, body, err := ask(t, want.URL, nil)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("response = %v, error %v, want 200", response, err)
			}
			if digest(body) != want.SHA256 || int64(len(body)) != want.Bytes || response.ContentLength != want.Bytes {
				t.Fatalf("%d bytes with digest %s, announced %d, want %+v", len(body), digest(body), response.ContentLength, want)
			}
			if got := response.Header.Get("Content-Type"); got != want.Format.MediaType() {
				t.Errorf("Content-Type = %q, want %q", got, want.Format.MediaType())
			}
			decoded, format, err := image.Decode(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			size := decoded.Bounds().Size()
			if format != string(want.Format) || size.X != want.Width || size.Y != want.Height {
				t.Errorf("%s of %v, want %+v", format, size, want)
			}
		})
	}
}

func TestSameJobHasSameFile(t *testing.T) {
	t.Parallel()
	options := fakevendortest.JobOptions{ID: "job-1"}
	first, second := newJob(t, start(t), options).Images[0], newJob(t, start(t), options).Images[0]
	if first.SHA256 != second.SHA256 {
		t.Errorf("SHA-256 = %s and %s, want equal ones", first.SHA256, second.SHA256)
	}
	other := newJob(t, start(t), fakevendortest.JobOptions{ID: "job-2"}).Images[0]
	if first.SHA256 == other.SHA256 {
		t.Errorf("SHA-256 of another job = %s, want another one", other.SHA256)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for name, options := range map[string]fakevendortest.JobOptions{
		"painted":  {},
		"on a fly": {Bytes: 500_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := newJob(t, vendor, options).Images[0]
			whole, body, err := ask(t, want.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			etag := whole.Header.Get("ETag")
			if !strings.HasPrefix(etag, `"`) {
				t.Fatalf("ETag = %q, want a strong validator", etag)
			}
			for _, from := range []int64{1, 46, 47, 48, want.Bytes / 2, want.Bytes - 29, want.Bytes - 1} {
				header := http.Header{"Range": {"bytes=" + strconv.FormatInt(from, 10) + "-"}, "If-Range": {etag}}
				response, rest, err := ask(t, want.URL, header)
				if err != nil || response.StatusCode != http.StatusPartialContent || !bytes.Equal(rest, body[from:]) {
					t.Errorf("response from %d = %v, error %v, %d bytes, want 206 and the rest", from, response, err, len(rest))
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	half := func(size int64) int64 { return size / 2 }
	none := func(int64) int64 { return 0 }
	for name, row := range map[string]struct {
		fault  fakevendortest.Fault
		status int
		header [2]string              // name and value, where it matters
		length func(size int64) int64 // of the body, nil where it does not matter
		breaks bool
	}{
		"break":       {fault: fakevendortest.Fault{Kind: fakevendortest.Break, Percent: 50}, status: 200, length: half, breaks: true},
		"break first": {fault: fakevendortest.Fault{Kind: fakevendortest.Break}, status: 200, length: none, breaks: true},
		"stall":       {fault: fakevendortest.Fault{Kind: fakevendortest.Stall, Percent: 10, Pause: time.Millisecond}, status: 200},
		"slow":        {fault: fakevendortest.Fault{Kind: fakevendortest.Slow, Pause: time.Millisecond}, status: 200},
		"status": {
			fault:  fakevendortest.Fault{Kind: fakevendortest.Status, Status: 503, RetryAfter: 7 * time.Second},
			status: 503, header: [2]string{"Retry-After", "7"},
		},
		"expired":    {fault: fakevendortest.Fault{Kind: fakevendortest.Status, Status: 403}, status: 403},
		"partial":    {fault: fakevendortest.Fault{Kind: fakevendortest.Partial, Percent: 50}, status: 206, length: half},
		"page":       {fault: fakevendortest.Fault{Kind: fakevendortest.Page}, status: 200, header: [2]string{"Content-Type", "text/html; charset=utf-8"}},
		"wrong type": {fault: fakevendortest.Fault{Kind: fakevendortest.WrongType}, status: 200, header: [2]string{"Content-Type", "image/png"}},
		"empty":      {fault: fakevendortest.Fault{Kind: fakevendortest.Empty}, status: 200, length: none},
		"short":      {fault: fakevendortest.Fault{Kind: fakevendortest.Short, Percent: 50}, status: 200, length: half},
		"redirect": {
			fault:  fakevendortest.Fault{Kind: fakevendortest.Redirect, Location: "http://169.254.169.254/"},
			status: 302, header: [2]string{"Location", "http://169.254.169.254/"},
		},
		"compressed": {fault: fakevendortest.Fault{Kind: fakevendortest.Compressed}, status: 200, header: [2]string{"Content-Encoding", "gzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row.fault.Times = 1
			want := newJob(t, vendor, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{row.fault}}).Images[0]
			response, body, err := ask(t, want.URL, nil)
			if response == nil || response.StatusCode != row.status || (err != nil) != row.breaks {
				t.Fatalf("response = %v, error %v, want status %d", response, err, row.status)
			}
			if row.header[0] != "" && response.Header.Get(row.header[0]) != row.header[1] {
				t.Errorf("%s = %q, want %q", row.header[0], response.Header.Get(row.header[0]), row.header[1])
			}
			if row.length != nil && int64(len(body)) != row.length(want.Bytes) {
				t.Errorf("body = %d bytes of %d, want %d", len(body), want.Bytes, row.length(want.Bytes))
			}
			_, body, err = ask(t, want.URL, nil)
			if err != nil || digest(body) != want.SHA256 {
				t.Errorf("second request: error %v, SHA-256 %s, want %s", err, digest(body), want.SHA256)
			}
			if got := vendor.Requests(want.URL); got != 2 {
				t.Errorf("requests = %d, want 2", got)
			}
		})
	}
}

func TestFaultsFollowEachOther(t *testing.T) {
	t.Parallel()
	job := newJob(t, start(t), fakevendortest.JobOptions{
		Images: 2, Shape: fakevendortest.ResultStrings,
		Faults: []fakevendortest.Fault{
			{Kind: fakevendortest.Status, Status: 500, Times: 2},
			{Kind: fakevendortest.Status, Status: 404},
			{Kind: fakevendortest.Status, Status: 410, Image: 1},
		},
	})
	for n, want := range []int{500, 500, 404, 404} {
		response, _, err := ask(t, job.Images[0].URL, nil)
		if err != nil || response.StatusCode != want {
			t.Errorf("request %d: %v, %v, want %d", n, response, err, want)
		}
	}
	if response, _, err := ask(t, job.Images[1].URL, nil); err != nil || response.StatusCode != http.StatusGone {
		t.Errorf("response for the second image = %v, error %v, want 410", response, err)
	}
}

func TestCloseEndsStall(t *testing.T) {
	t.Parallel()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	job := newJob(t, vendor, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Stall, Percent: 50}}})
	response, err := open(t, job.ResultURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := vendor.Close(); err != nil { // waits for the stalled answer
		t.Error(err)
	}
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("stalled body has no error, want one")
	}
}

func TestCallbackShapes(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for name, row := range map[string]struct {
		options fakevendortest.JobOptions
		want    string // $1 and $2 are the addresses of the images
	}{
		"documented": {
			fakevendortest.JobOptions{},
			`{"job":"J","data":{"height":200,"url":"https://example.com/original.png","webhooks":{"complete":"W"},"width":320},` +
				`"result_url":"$1","results":null}`,
		},
		"strings": {
			fakevendortest.JobOptions{Shape: fakevendortest.ResultStrings, Images: 2, Data: json.RawMessage(`"text"`)},
			`{"job":"J","data":"text","result_url":null,"results":["$1","$2"]}`,
		},
		"objects": {
			fakevendortest.JobOptions{Shape: fakevendortest.ResultObjects, Data: json.RawMessage(`null`)},
			`{"job":"J","data":null,"result_url":null,"results":[{"result_url":"$1"}]}`,
		},
		"map": {
			fakevendortest.JobOptions{Shape: fakevendortest.ResultMap, Images: 2, Data: json.RawMessage(`{"width":1e3}`)},
			`{"job":"J","data":{"webhooks":{"complete":"W"},"width":1e3},"result_url":null,"results":{"image_1":"$1","image_2":"$2"}}`,
		},
		"storage": {
			fakevendortest.JobOptions{Shape: fakevendortest.ResultStorage, Data: json.RawMessage(`[]`)},
			`{"job":"J","data":[],"result_url":"storage://my-bucket/results/image.png","results":null}`,
		},
		"missing": {
			fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing, Data: json.RawMessage(`1`), Results: json.RawMessage(`[7]`)},
			`{"job":"J","data":1,"result_url":null,"results":[7]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(t, vendor, row.options)
			want := strings.NewReplacer(`"J"`, `"`+job.ID+`"`, "$1", job.Images[0].URL, "$2", job.Images[len(job.Images)-1].URL).Replace(row.want)
			if got := string(vendor.Callback(job, "W")); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	var mutex sync.Mutex
	seen := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Job string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost {
			t.Errorf("method = %s, error %v, want POST with JSON", r.Method, err)
		}
		mutex.Lock()
		defer mutex.Unlock()
		if seen[body.Job]++; seen[body.Job] == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, body.Job)
	}))
	defer receiver.Close()
	jobs := []fakevendortest.Job{newJob(t, vendor, fakevendortest.JobOptions{Seed: 1}), newJob(t, vendor, fakevendortest.JobOptions{Seed: 1})}
	delivered := make(chan fakevendortest.Delivery, 4)
	plan := fakevendortest.Plan{Copies: 2, Attempts: 3, Concurrency: 4, Shuffle: 1, Delivered: func(d fakevendortest.Delivery) { delivered <- d }}
	for _, delivery := range vendor.Deliver(t.Context(), receiver.URL, plan, jobs...) {
		if delivery.Err != nil || string(delivery.Answer.Body) != delivery.Job.ID {
			t.Errorf("delivery = %+v, want it accepted with the id of the job", delivery)
		}
	}
	if len(delivered) != 4 || seen[jobs[0].ID] != 3 || seen[jobs[1].ID] != 3 {
		t.Errorf("deliveries = %d, received = %v, want 4 and 3 for each job", len(delivered), seen)
	}
}

func TestDeliverStops(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	}))
	defer receiver.Close()
	once := vendor.Deliver(t.Context(), receiver.URL, fakevendortest.Plan{}, job)
	if once[0].Err == nil || once[0].Attempts != 1 || once[0].Answer.RetryAfter == 0 {
		t.Errorf("delivery = %+v, want 1 attempt, an error and Retry-After", once[0])
	}
	cancelled := vendor.Deliver(ctx, receiver.URL+"/secret-token", fakevendortest.Plan{Attempts: 20}, job)
	if cancelled[0].Err == nil || cancelled[0].Attempts > 2 {
		t.Errorf("delivery = %+v, want at most 2 attempts and an error", cancelled[0])
	}
	if strings.Contains(cancelled[0].Err.Error(), "secret-token") {
		t.Errorf("error = %v, want it without the token", cancelled[0].Err)
	}
}

func TestResultAPI(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	for name, row := range map[string]struct {
		key    string
		state  fakevendortest.State
		status int
		want   string // J is the job, U the address
	}{
		"complete":    {"the-key", fakevendortest.Complete, 200, `{"status":"complete","job":"J","result_url":"U"}`},
		"in progress": {"the-key", fakevendortest.InProgress, 200, `{"status":"in_progress","job":"J","result_url":""}`},
		"failed":      {"the-key", fakevendortest.Failed, 500, `{"message":"Image processing failed","status":"failed","job":"J"}`},
		"deleted":     {"the-key", fakevendortest.Deleted, 404, `{"message":"Image deleted","status":"complete"}`},
		"unknown":     {"the-key", "", 404, `{"message":"Job not found"}`},
		"wrong key":   {"another", fakevendortest.Complete, 404, `{"message":"No user found for provided token"}`},
		"no key":      {"", fakevendortest.Complete, 403, `{"message":"No x-api-key header is provided"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := fakevendortest.Job{ID: "unknown"}
			if row.state != "" {
				job = newJob(t, vendor, fakevendortest.JobOptions{State: row.state})
			}
			header := http.Header{}
			if row.key != "" {
				header.Set("X-Api-Key", row.key)
			}
			response, body, err := ask(t, vendor.APIURL()+"/result/"+job.ID, header)
			want := strings.NewReplacer(`"J"`, `"`+job.ID+`"`, `"U"`, `"`+job.ResultURL+`"`).Replace(row.want)
			if err != nil || response.StatusCode != row.status || strings.TrimSpace(string(body)) != want {
				t.Errorf("response = %v, error %v, body %s, want %d and %s", response, err, body, row.status, want)
			}
		})
	}
}

func TestInvalidOptions(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	newJob(t, vendor, fakevendortest.JobOptions{ID: "taken"})
	for name, options := range map[string]fakevendortest.JobOptions{
		"id":           {ID: "taken"},
		"format":       {Format: "gif"},
		"width":        {Width: -1},
		"pixels":       {Width: 16_000, Height: 16_000},
		"large jpeg":   {Format: fakevendortest.JPEG, Bytes: 1 << 20},
		"too large":    {Bytes: 1 << 40},
		"images":       {Images: 65, Shape: fakevendortest.ResultStrings},
		"shape":        {Images: 2},
		"name":         {FileName: "a/b.png"},
		"data":         {Data: json.RawMessage(`{`)},
		"fault":        {Faults: []fakevendortest.Fault{{}}},
		"fault status": {Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: 200}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if job, err := vendor.NewJob(options); err == nil {
				t.Errorf("NewJob() = %+v, want an error", job)
			}
		})
	}
}

func BenchmarkNewJob(b *testing.B) {
	vendor, err := fakevendortest.Start(b.Context(), fakevendortest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = vendor.Close() }()
	for name, options := range map[string]fakevendortest.JobOptions{
		"thumbnail": {Width: 64, Height: 64},
		"png":       {Width: 1600, Height: 1000},
		"webp":      {Width: 1600, Height: 1000, Format: fakevendortest.WebP},
		"200 MB":    {Bytes: 200_000_000},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := vendor.NewJob(options); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
