package main_test

import (
	"encoding/json"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// submitter is a receiver beside a vendor that works as options say, and the environment of its commands.
func submitter(t *testing.T, place *databasetest.Place, options fakevendortest.Options, more ...string) (*fakevendortest.Vendor, []string) {
	t.Helper()
	vendor := startVendor(t, options)
	address := testkit.FreeAddress(t)
	env := []string{
		"RECEIVER_LISTEN_ADDR=" + address, "RECEIVER_PUBLIC_URL=http://" + address,
		"RECEIVER_DEEPIMAGE_API_KEY=" + vendor.APIKey(), "RECEIVER_DEEPIMAGE_URL=" + vendor.APIURL(),
		"RECEIVER_FETCH_ALLOW_HTTP=true", "RECEIVER_FETCH_ALLOWED_HOSTS=127.0.0.1", "RECEIVER_FETCH_ALLOWED_CIDRS=127.0.0.0/8",
	}
	if place.Kind == database.Postgres {
		env = append(env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal(), "RECEIVER_WEBHOOK_TOKENS="+crashToken)
	}
	r := start(t, t.TempDir(), append(env, more...)...)
	return vendor, []string{"RECEIVER_ADMIN_ADDR=" + r.admin}
}

// photos returns a folder with two images, one of them large, a hidden image and a text file.
func photos(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, height := range map[string]int{"a.png": 2, "more/b.png": 3000, ".hidden/c.png": 7} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(file, image.NewGray(image.Rect(0, 0, 500, height))); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(folder, "notes.txt"), "no image")
	return folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

type submittedImage struct {
	Source, ID, Job, State, Event, Error string
	Artifacts                            []storedFile
}

type storedFile struct{ URL, SHA256 string }

func readSubmitted(t *testing.T, text string) (list []submittedImage) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	for decoder.More() {
		var one submittedImage
		if err := decoder.Decode(&one); err != nil {
			t.Fatalf("decode %s: error %v, want none", text, err)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b submittedImage) int { return strings.Compare(a.Source, b.Source) })
	return list
}

// The command waits until the results of a folder and a URL are stored. Two submissions find no free slot at first.
func TestSubmitUntilStored(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		vendor, env := submitter(t, place, fakevendortest.Options{}, "RECEIVER_DOWNLOAD_KEY_TEMPLATE={reference}/{input}.{ext}")
		folder := photos(t)
		if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.Limit, Call: fakevendortest.CallProcess, Times: 2}); err != nil {
			t.Fatal(err)
		}
		request := filepath.Join(t.TempDir(), "request.json")
		write(t, request, `{"enhancements": ["denoise"], "n": 1.00}`)
		got := run(t, env, "submit", folder, "https://example.com/c.png", "--request", request, "--width", "200%", "--height", "300",
			"--reference", "SKU-4711", "--json").expect(t, 0)
		list := readSubmitted(t, got.stdout)
		if len(list) != 3 || list[0].Source != filepath.Join(folder, "a.png") || list[1].Source != filepath.Join(folder, "more", "b.png") {
			t.Fatalf("results = %+v, want those of a.png, more/b.png and the URL", list)
		}
		for _, one := range list {
			name := strings.TrimSuffix(filepath.Base(one.Source), ".png")
			if one.State != "done" || one.Job == "" || len(one.Artifacts) != 2 || one.Error != "" ||
				!slices.ContainsFunc(one.Artifacts, func(a storedFile) bool { return strings.HasSuffix(a.URL, "/SKU-4711/"+name+".png") }) {
				t.Errorf("result = %+v, want done with 2 artifacts, one of them SKU-4711/%s.png", one, name)
			}
		}
		if found := run(t, env, "events", "list", "--q", "sku-47 a", "--json").expect(t, 0).stdout; strings.Count(found, `"id"`) != 1 ||
			!strings.Contains(found, list[0].Event) {
			t.Errorf("events found by their names = %s, want %s", found, list[0].Event)
		}
		var shown struct{ Payload struct{ Data map[string]any } }
		event := run(t, env, "events", "show", list[0].Event, "--json").expect(t, 0).stdout
		if err := json.Unmarshal([]byte(event), &shown); err != nil {
			t.Fatal(err)
		}
		data := shown.Payload.Data
		sent, _ := data["url"].(string)
		if data["width"] != "200%" || data["height"] != 300.0 || data["n"] != 1.0 || !strings.HasPrefix(sent, "base64,iVBORw0KGgo") {
			t.Errorf("request = %v, want width 200%%, height 300, n 1 and an inline PNG", data)
		}
		if n := vendor.Calls(fakevendortest.CallProcess); n != 5 {
			t.Errorf("submissions = %d, want 5", n)
		}
	})
}

func TestSubmitAsText(t *testing.T) { //nolint:tparallel // the subtests use up the credits
	t.Parallel()
	_, env := submitter(t, databasetest.NewPlace(t, database.SQLite), fakevendortest.Options{Processing: fakevendortest.Processing{Credits: 2}})
	image := filepath.Join(photos(t), "a.png")
	for _, row := range []struct {
		name string
		args []string
		code int
		want []string // parts of stdout
	}{
		{name: "stored", args: []string{image}, code: 0, want: []string{"done       " + image + "  job ", "\n           file://"}},
		{name: "detached", args: []string{image, "--detach"}, code: 0, want: []string{"submitted  " + image}},
		{name: "no credits", args: []string{image, "--wait", "0s"}, code: 1, want: []string{"failed     " + image, "402"}},
		{
			name: "failure that all would have", args: []string{image, image, "--detach", "--parallel", "1"},
			code: 1, want: []string{"failed     " + image + "\n", "402"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			contains(t, "stdout", run(t, env, append([]string{"submit"}, row.args...)...).expect(t, row.code).stdout, row.want...)
		})
	}
}

// The receiver starts after the command, and is killed and restarted while the command waits for the result.
func TestSubmitSurvivesRestart(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Options{
		Timeout:    5 * time.Second,
		Processing: fakevendortest.Processing{Time: time.Second, Callbacks: fakevendortest.Plan{Attempts: 20}}, // the command has its response by then
	})
	address, admin := testkit.FreeAddress(t), testkit.FreeAddress(t)
	env := []string{
		"RECEIVER_LISTEN_ADDR=" + address, "RECEIVER_ADMIN_ADDR=" + admin, "RECEIVER_PUBLIC_URL=http://" + address,
		"RECEIVER_DEEPIMAGE_API_KEY=" + vendor.APIKey(), "RECEIVER_DEEPIMAGE_URL=" + vendor.APIURL(),
	}
	struck, killed := make(chan struct{}), make(chan struct{})
	if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.Refuse, Call: fakevendortest.CallResult, KnownJob: true, Times: 1, OnHit: func() {
		close(struck) // the job is submitted, and its callback has arrived
		<-killed
	}}); err != nil {
		t.Fatal(err)
	}
	image, ended := filepath.Join(photos(t), "a.png"), make(chan result)
	go func() { ended <- run(t, env, "submit", image) }()
	folder := t.TempDir()
	p := serve(t, folder, env...)
	select {
	case <-struck:
	case early := <-ended:
		t.Fatalf("submit ended with %+v, want it to wait for the result", early)
	case <-time.After(crashWait):
		t.Fatalf("submissions after %s = 0, want 1", crashWait)
	}
	p.kill()
	close(killed)
	serve(t, folder, env...)
	got := (<-ended).expect(t, 0)
	contains(t, "stdout", got.stdout, "done       "+image+"  job ", "\n           file://")
}

// The receiver is killed between the request to the vendor and its response. The job is not submitted again; its
// callback names it after the next start.
func TestKillWhileSubmitting(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		callbacks := fakevendortest.Plan{Attempts: 20}
		vendor := startVendor(t, fakevendortest.Options{Timeout: 5 * time.Second, Processing: fakevendortest.Processing{Callbacks: callbacks}})
		address, admin := testkit.FreeAddress(t), testkit.FreeAddress(t)
		env := []string{
			"RECEIVER_LISTEN_ADDR=" + address, "RECEIVER_ADMIN_ADDR=" + admin, "RECEIVER_PUBLIC_URL=http://" + address,
			"RECEIVER_DEEPIMAGE_API_KEY=" + vendor.APIKey(), "RECEIVER_DEEPIMAGE_URL=" + vendor.APIURL(),
		}
		if place.Kind == database.Postgres {
			env = append(env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal())
		}
		folder := t.TempDir()
		p := serve(t, folder, env...)
		fault := fakevendortest.APIFault{Kind: fakevendortest.LoseAnswer, Call: fakevendortest.CallProcess, Times: 1, OnHit: p.kill}
		if err := vendor.AddAPIFaults(fault); err != nil {
			t.Fatal(err)
		}
		got := run(t, env, "submit", "https://example.com/a.png").expect(t, 1)
		contains(t, "stdout", got.stdout, "failed     https://example.com/a.png", "receiver jobs list")
		serve(t, folder, env...)
		awaitArrival(t, "http://"+admin)
		if n := vendor.Calls(fakevendortest.CallProcess); n != 1 {
			t.Errorf("submissions = %d, want 1", n)
		}
	})
}

// awaitArrival waits until the only tracked job has arrived and its event is done.
func awaitArrival(t *testing.T, admin string) {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(processTimeout)
	for {
		var list struct {
			Jobs []struct{ Job, State, Event string }
		}
		getJSON(t, admin+"/api/v1/jobs", &list)
		if len(list.Jobs) == 1 && list.Jobs[0].State == "arrived" && list.Jobs[0].Job != "" {
			var found struct{ Status, Job string }
			getJSON(t, admin+"/api/v1/events/"+list.Jobs[0].Event, &found)
			if found.Status == "done" && found.Job == list.Jobs[0].Job {
				return
			}
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("tracked jobs = %+v, want one that arrived and whose event is done", list)
		}
	}
}

func getJSON(t *testing.T, address string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Timeout: processTimeout}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// The response of a proxy does not show whether the receiver got the request, so it is not sent again.
func TestSubmitDoesNotRetryAfterProxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "upstream timed out", http.StatusServiceUnavailable)
	}))
	t.Cleanup(proxy.Close)
	got := run(t, nil, "submit", "https://example.com/a.png", "--url", proxy.URL).expect(t, 1)
	contains(t, "stdout", got.stdout, "failed     https://example.com/a.png", "503")
	if n := asked.Load(); n != 1 {
		t.Errorf("submissions = %d, want 1", n)
	}
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	folder := photos(t)
	empty, cut := t.TempDir(), filepath.Join(t.TempDir(), "cut.png")
	content, err := os.ReadFile(filepath.Join(folder, "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, cut, string(content[:len(content)-4]))
	withURL := filepath.Join(t.TempDir(), "request.json")
	write(t, withURL, `{"url": "https://example.com"}`)
	const imageURL = "https://example.com/a.png"
	for _, row := range []struct {
		name string
		args []string
		code int
		want []string // names in stderr
	}{
		{name: "no argument", code: 2},
		{name: "no file", args: []string{"missing.jpg"}, code: 2, want: []string{"missing.jpg"}},
		{name: "no image", args: []string{filepath.Join(folder, "notes.txt")}, code: 2, want: []string{"notes.txt"}},
		{name: "truncated image", args: []string{cut}, code: 2, want: []string{"cut.png"}},
		{name: "several faults", args: []string{cut, "missing.jpg", folder}, code: 2, want: []string{"cut.png", "missing.jpg"}},
		{name: "empty folder", args: []string{empty}, code: 2, want: []string{empty}},
		{name: "malformed width", args: []string{imageURL, "--width", "wide"}, code: 2, want: []string{"--width"}},
		{name: "request with url", args: []string{imageURL, "--request", withURL}, code: 2, want: []string{"--request", "url"}},
		{name: "too many in parallel", args: []string{imageURL, "--parallel", "9"}, code: 2, want: []string{"--parallel"}},
		{name: "no receiver", args: []string{imageURL, "--url", "http://127.0.0.1:1", "--wait", "0s"}, code: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			contains(t, "stderr", run(t, nil, append([]string{"submit"}, row.args...)...).expect(t, row.code).stderr, row.want...)
		})
	}
}
