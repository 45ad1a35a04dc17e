package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

const (
	patience = 30 * time.Second
	token    = "test-token-0123456789"
)

// receiver is a running app with what a test looks at.
type receiver struct {
	*app.App
	folder string
	log    *testkit.Log
	stop   func()
}

// configuration is the default one, on a free port and with its stores in place, allowed to fetch from loopback.
func configuration(t testing.TB, place *databasetest.Place) config.Config {
	t.Helper()
	c, err := config.Load(builtin.All())
	if err != nil {
		t.Fatal(err)
	}
	c.DataDir = place.Folder
	if place.Kind == database.Postgres {
		c.DataDir = t.TempDir()
		c.Database = place.Config
	}
	c.HTTP.ListenAddr, c.Admin.Addr = "127.0.0.1:0", "127.0.0.1:0"
	c.MinFreeBytes = 1 << 20
	c.Fetch.AllowHTTP = true
	c.Fetch.AllowedHosts = configtypes.List{"127.0.0.1", "deep-image.ai", "*.deep-image.ai"}
	if err := c.Fetch.AllowedCIDRs.Decode("127.0.0.0/8"); err != nil {
		t.Fatal(err)
	}
	if err := c.WebhookTokens.Decode(token); err != nil {
		t.Fatal(err)
	}
	c.Retry.MinDelay, c.Retry.MaxAttempts = 20*time.Millisecond, 4
	return c
}

func start(t testing.TB, c config.Config) *receiver {
	t.Helper()
	r := &receiver{folder: c.DataDir, log: &testkit.Log{}}
	var err error
	if r.App, err = app.New(t.Context(), c, zerolog.New(r.log)); err != nil {
		t.Fatal(err)
	}
	r.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) url(path string) string { return "http://" + r.Addr().String() + path }

func (r *receiver) webhook() string { return r.url("/webhooks/deep-image/" + token) }

func vendor(t testing.TB) *fakevendor.Vendor {
	t.Helper()
	v, err := fakevendor.Start(t.Context(), fakevendor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// answer is what the door says.
type answer struct {
	ID     event.ID `json:"id"`
	Job    string   `json:"job"`
	Status string   `json:"status"`
	code   int
}

func post(t testing.TB, client *http.Client, url string, body []byte) (a answer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return a
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(text, &a); err != nil && response.StatusCode == http.StatusOK {
		t.Errorf("answer %q: %v", text, err)
	}
	a.code = response.StatusCode
	return a
}

func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// settled waits until nothing is left to do for the event.
func (r *receiver) settled(t testing.TB, id event.ID) history.Details {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for {
		h, err := r.Stores().History.Load(t.Context(), id)
		if err == nil && (h.Event.State == event.Done || h.Event.State == event.Dead) {
			return h
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("event %s never settled: %+v, %v; log:\n%s", id, h, err, r.log)
		}
	}
}

// files gives the path and SHA-256 of everything below the images folder.
func (r *receiver) files(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := filepath.Join(r.folder, "images")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "lock" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		sum := sha256.Sum256(content)
		found[relative] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every documented shape of a callback goes the whole way: 200, a whole image, a manifest.
func TestEveryExampleBecomesAStoredImage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, everyExampleBecomesAStoredImage)
	t.Run("postgres through a pooler", func(t *testing.T) {
		t.Parallel()
		everyExampleBecomesAStoredImage(t, databasetest.PooledPlace(t))
	})
}

func everyExampleBecomesAStoredImage(t *testing.T, place *databasetest.Place) {
	v, client := vendor(t), newClient(t)
	r := start(t, configuration(t, place))
	folder, err := api.Examples()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := fs.Glob(folder, "*.json")
	if err != nil || len(examples) < 26 {
		t.Fatalf("%d examples, error %v", len(examples), err)
	}
	ids := map[event.ID]fakevendor.Job{}
	for n, name := range examples {
		body, err := fs.ReadFile(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		var example map[string]json.RawMessage
		if err := json.Unmarshal(body, &example); err != nil {
			t.Fatal(err)
		}
		formats := []fakevendor.Format{fakevendor.PNG, fakevendor.JPEG, fakevendor.WebP}
		job, err := v.NewJob(fakevendor.JobOptions{Format: formats[n%3], Seed: uint64(n + 1), Data: example["data"]})
		if err != nil {
			t.Fatal(err)
		}
		a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
		if a.code != http.StatusOK || a.Status != "accepted" || a.Job != job.ID {
			t.Errorf("%s: answer %+v", name, a)
		}
		ids[a.ID] = job
	}
	for id, job := range ids {
		h := r.settled(t, id)
		if h.Event.State != event.Done {
			t.Errorf("job %s: %+v", job.ID, h)
		}
	}
	files := r.files(t)
	for id, job := range ids {
		folder := filepath.Join(time.Now().UTC().Format(time.DateOnly), job.ID)
		var images int
		for path, sum := range files {
			if filepath.Dir(path) == folder && sum == job.Images[0].SHA256 {
				images++
			}
		}
		if _, manifest := files[filepath.Join(folder, "event.json")]; images != 1 || !manifest {
			t.Errorf("event %s: %d whole images, manifest %t", id, images, manifest)
		}
	}
	if len(files) != 2*len(examples) {
		t.Errorf("%d files for %d events: %v", len(files), len(examples), files)
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestSameBodyFiftyTimesAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, configuration(t, place))
		job, err := v.NewJob(fakevendor.JobOptions{})
		if err != nil {
			t.Fatal(err)
		}
		body := v.Callback(job, r.webhook())
		answers := make([]answer, 50)
		var group sync.WaitGroup
		for n := range answers {
			group.Go(func() { answers[n] = post(t, client, r.webhook(), body) })
		}
		group.Wait()
		accepted := 0
		for _, a := range answers {
			if a.code != http.StatusOK || a.ID != answers[0].ID {
				t.Errorf("answer %+v, the first was %+v", a, answers[0])
			}
			if a.Status == "accepted" {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("accepted %d times", accepted)
		}
		if h := r.settled(t, answers[0].ID); h.Event.State != event.Done {
			t.Errorf("got %+v", h)
		}
		if requests := v.Requests(job.ResultURL); requests != 1 {
			t.Errorf("fetched %d times", requests)
		}
		if events, err := r.Stores().History.List(t.Context(), "", 100); err != nil || len(events) != 1 {
			t.Errorf("%d events, error %v", len(events), err)
		}
		if files := r.files(t); len(files) != 2 {
			t.Errorf("files %v", files)
		}
	})
}

// The documented sample points at localhost: it is accepted, and refused with a sentence.
func TestDocumentedSampleIsAcceptedAndNotDialled(t *testing.T) {
	t.Parallel()
	c := configuration(t, databasetest.NewPlace(t, database.SQLite))
	c.Fetch.AllowedHosts, c.Fetch.AllowedCIDRs = configtypes.List{"*"}, nil
	rows := []struct {
		name   string
		hosts  configtypes.List
		reason event.Reason
	}{
		{"host not allowed", configtypes.List{"deep-image.ai"}, event.ReasonHostNotAllowed},
		{"address blocked", configtypes.List{"localhost"}, event.ReasonBlockedAddress},
	}
	body := []byte(`{"job":"ce0e7624-634e-11ee-a699-0242ac14000b","data":{},"result_url":"https://localhost:8073/images/2023-10-05/1f48bcdb.png","results":null}`)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := c
			c.DataDir, c.Fetch.AllowedHosts = t.TempDir(), row.hosts
			r := start(t, c)
			a := post(t, newClient(t), r.webhook(), body)
			if a.code != http.StatusOK {
				t.Fatalf("answer %+v", a)
			}
			step := r.settled(t, a.ID).Steps[0]
			if step.State != event.Dead || step.Reason != row.reason || len(step.Attempts) != 1 || !strings.Contains(step.Detail, "localhost") {
				t.Errorf("got %+v", step)
			}
		})
	}
}

// What was accepted and not worked on goes on at the next start, under the same id.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := configuration(t, place)
		c.Queue.Lease = 2 * time.Second // on a busy machine the end of the attempt may not be written down in time
		job, err := v.NewJob(fakevendor.JobOptions{Faults: []fakevendor.Fault{{Kind: fakevendor.Stall, Percent: 50, Times: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		first := start(t, c)
		body := v.Callback(job, first.webhook())
		a := post(t, client, first.webhook(), body)
		for v.Requests(job.ResultURL) == 0 {
			time.Sleep(time.Millisecond) //nolint:forbidigo // the fake has no signal for this
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := first.Stop(ctx); err != nil {
			t.Log(err) // the stalled transfer is cut off
		}
		second := start(t, c)
		if h := second.settled(t, a.ID); h.Event.State != event.Done {
			t.Errorf("got %+v", h)
		}
		if again := post(t, client, second.webhook(), body); again.ID != a.ID || again.Status != "duplicate" {
			t.Errorf("got %+v, the first was %+v", again, a)
		}
	})
}

func TestDataFolderIsForOneProcess(t *testing.T) {
	t.Parallel()
	c := configuration(t, databasetest.NewPlace(t, database.SQLite))
	start(t, c)
	if _, err := app.New(t.Context(), c, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second receiver on the folder: %v", err)
	}
	if _, err := app.Migrate(t.Context(), c); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a migration beside it: %v", err)
	}
}

func TestFullDiskIsUnavailable(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		c := configuration(t, place)
		c.MinFreeBytes = 1 << 60
		r := start(t, c)
		client := newClient(t)
		if a := post(t, client, r.webhook(), []byte(`{"job":"a"}`)); a.code != http.StatusServiceUnavailable {
			t.Errorf("answer %+v", a)
		}
		for path, want := range map[string]int{"/livez": 200, "/healthz": 200, "/readyz": 503} {
			response, err := client.Get(r.url(path))
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s is %d", path, response.StatusCode)
			}
		}
	})
}

func TestMigrateSaysTheVersions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		c := configuration(t, place)
		for range 2 {
			versions, err := app.Migrate(t.Context(), c)
			if err != nil || len(versions) != 3 || fmt.Sprint(versions[0].Store, versions[1].Store, versions[2].Store) != "inboxworkqueue" {
				t.Errorf("got %v, error %v", versions, err)
			}
		}
	})
}
