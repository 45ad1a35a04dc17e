package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

const token = "test-token-0123456789"

// receiver is a running receiver with its data folder and its log.
type receiver struct {
	*app.App
	folder string
	log    *testkit.Log
	stop   func()
}

// configuration is the default configuration on free ports, with the stores of place, and with loopback allowed for downloads.
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
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
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

func vendor(t testing.TB) *fakevendortest.Vendor {
	t.Helper()
	v, err := fakevendortest.Start(t.Context(), fakevendortest.Options{})
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

// receipt is the response to a callback.
type receipt struct {
	ID     event.ID `json:"id"`
	Job    string   `json:"job"`
	Status string   `json:"status"`
	code   int
}

func post(t testing.TB, client *http.Client, url string, body []byte) (a receipt) {
	t.Helper()
	return postWith(t, client, url, nil, body)
}

func postWith(t testing.TB, client *http.Client, url string, header http.Header, body []byte) (a receipt) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
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
		t.Errorf("body = %q, error %v; want JSON", text, err)
	}
	a.code = response.StatusCode
	return a
}

func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testkit.Timeout}
}

// await waits until the event is done or dead.
func (r *receiver) await(t testing.TB, id event.ID) history.Details {
	t.Helper()
	return r.reaches(t, id, event.Done, event.Dead)
}

// reaches waits until the event is in one of the states.
func (r *receiver) reaches(t testing.TB, id event.ID, states ...event.Status) history.Details {
	t.Helper()
	load := func() (history.Details, error) { return r.Stores().History.Load(t.Context(), id) }
	return testkit.WaitFor(t, fmt.Sprint("event ", id, " in state ", states), load, func(h history.Details) bool {
		return slices.Contains(states, h.Event.State)
	})
}

// files returns the SHA-256 of every file in the images folder, by its path.
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

// Every documented shape of a callback ends as a complete image and a manifest.
func TestEveryExampleIsStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, testEveryExampleIsStored)
	t.Run("postgres through a pooler", func(t *testing.T) {
		t.Parallel()
		testEveryExampleIsStored(t, databasetest.PooledPlace(t))
	})
}

func testEveryExampleIsStored(t *testing.T, place *databasetest.Place) {
	v, client := vendor(t), newClient(t)
	r := start(t, configuration(t, place))
	folder, err := api.Examples()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := fs.Glob(folder, "*.json")
	if err != nil || len(examples) < 26 {
		t.Fatalf("%d examples, error %v; want at least 26", len(examples), err)
	}
	ids := map[event.ID]fakevendortest.Job{}
	for n, name := range examples {
		body, err := fs.ReadFile(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		var example map[string]json.RawMessage
		if err := json.Unmarshal(body, &example); err != nil {
			t.Fatal(err)
		}
		formats := []fakevendortest.Format{fakevendortest.PNG, fakevendortest.JPEG, fakevendortest.WebP}
		job, err := v.NewJob(fakevendortest.JobOptions{Format: formats[n%3], Seed: uint64(n + 1), Data: example["data"]})
		if err != nil {
			t.Fatal(err)
		}
		a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
		if a.code != http.StatusOK || a.Status != "accepted" || a.Job != job.ID {
			t.Errorf("%s: receipt = %+v, want 200, accepted, job %s", name, a, job.ID)
		}
		ids[a.ID] = job
	}
	for id, job := range ids {
		h := r.await(t, id)
		if h.Event.State != event.Done {
			t.Errorf("job %s: state = %s, want done: %+v", job.ID, h.Event.State, h.Steps)
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
			t.Errorf("event %s: %d complete images, manifest %t; want 1, true", id, images, manifest)
		}
	}
	if len(files) != 2*len(examples) {
		t.Errorf("%d files, want %d: %v", len(files), 2*len(examples), files)
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("log contains the token, want it without")
	}
}

func TestConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, configuration(t, place))
		job, err := v.NewJob(fakevendortest.JobOptions{})
		if err != nil {
			t.Fatal(err)
		}
		body := v.Callback(job, r.webhook())
		receipts := make([]receipt, 50)
		var group sync.WaitGroup
		for n := range receipts {
			group.Go(func() { receipts[n] = post(t, client, r.webhook(), body) })
		}
		group.Wait()
		accepted := 0
		for _, a := range receipts {
			if a.code != http.StatusOK || a.ID != receipts[0].ID {
				t.Errorf("receipt = %+v, want 200 with id %s", a, receipts[0].ID)
			}
			if a.Status == "accepted" {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("accepted %d times, want 1", accepted)
		}
		if h := r.await(t, receipts[0].ID); h.Event.State != event.Done {
			t.Errorf("state = %s, want done: %+v", h.Event.State, h.Steps)
		}
		if requests := v.Requests(job.ResultURL); requests != 1 {
			t.Errorf("image fetched %d times, want 1", requests)
		}
		if events, err := r.Stores().History.List(t.Context(), "", 100); err != nil || len(events) != 1 {
			t.Errorf("%d events, error %v; want 1", len(events), err)
		}
		if files := r.files(t); len(files) != 2 {
			t.Errorf("files = %v, want 2", files)
		}
	})
}

// The documented sample has a URL of localhost: the callback is accepted, the download is blocked.
func TestDocumentedSampleIsBlocked(t *testing.T) {
	t.Parallel()
	c := configuration(t, storetest.NewPlace(t, database.SQLite))
	c.Fetch.AllowedHosts, c.Fetch.AllowedCIDRs = configtypes.List{"*"}, nil
	rows := []struct {
		name   string
		hosts  configtypes.List
		reason event.Reason
	}{
		{name: "host not allowed", hosts: configtypes.List{"deep-image.ai"}, reason: event.ReasonHostNotAllowed},
		{name: "address blocked", hosts: configtypes.List{"localhost"}, reason: event.ReasonBlockedAddress},
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
				t.Fatalf("status = %d, want 200", a.code)
			}
			step := r.await(t, a.ID).Steps[0]
			if step.State != event.Dead || step.Reason != row.reason || len(step.Attempts) != 1 || !strings.Contains(step.Detail, "localhost") {
				t.Errorf("step = %+v, want dead by %s after 1 attempt, with the host in its detail", step, row.reason)
			}
		})
	}
}

// An accepted event is processed after a restart, with the same id.
func TestRestartResumes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := configuration(t, place)
		c.Queue.Lease = 2 * time.Second // on a busy machine the end of the attempt may not be recorded in time
		job, err := v.NewJob(fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Stall, Percent: 50, Times: 1}}})
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
		if h := second.await(t, a.ID); h.Event.State != event.Done {
			t.Errorf("state = %s, want done: %+v", h.Event.State, h.Steps)
		}
		if again := post(t, client, second.webhook(), body); again.ID != a.ID || again.Status != "duplicate" {
			t.Errorf("receipt = %+v, want a duplicate of %s", again, a.ID)
		}
	})
}

// B9 of the list of faults: a result of a host that is not allowed is fetched when a restart has allowed the host.
func TestHostIsAllowedLater(t *testing.T) {
	t.Parallel()
	v, client := vendor(t), newClient(t)
	c := configuration(t, storetest.NewPlace(t, database.SQLite))
	wrong := c
	wrong.Fetch.AllowedHosts = configtypes.List{"deep-image.ai"}
	wrong.Retry.MaxAttempts = 1
	first := start(t, wrong)
	a := post(t, client, first.webhook(), v.Callback(newJob(t, v, fakevendortest.JobOptions{}), first.webhook()))
	step := first.reaches(t, a.ID, event.Retrying, event.Dead).Steps[0]
	if step.State != event.Retrying || step.Reason != event.ReasonHostNotAllowed || step.Tries != 0 {
		t.Errorf("step = %+v, want retrying by %s after no try", step, event.ReasonHostNotAllowed)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, c)
	if step := second.await(t, a.ID).Steps[0]; step.State != event.Done || step.Tries != 1 {
		t.Errorf("step = %+v, want done after 1 try", step)
	}
}

func TestDataFolderIsForOneProcess(t *testing.T) {
	t.Parallel()
	c := configuration(t, storetest.NewPlace(t, database.SQLite))
	start(t, c)
	if _, err := app.New(t.Context(), c, zerolog.Nop()); !errors.Is(err, app.ErrInUse) {
		t.Errorf("second receiver: error = %v, want %v", err, app.ErrInUse)
	}
	if _, err := app.Migrate(t.Context(), c, false); !errors.Is(err, app.ErrInUse) {
		t.Errorf("migration: error = %v, want %v", err, app.ErrInUse)
	}
}

func TestFullDiskIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		c := configuration(t, place)
		c.MinFreeBytes = 1 << 60
		r := start(t, c)
		client := newClient(t)
		if a := post(t, client, r.webhook(), []byte(`{"job":"a"}`)); a.code != http.StatusServiceUnavailable {
			t.Errorf("status = %d, want 503", a.code)
		}
		for path, want := range map[string]int{"/livez": 200, "/healthz": 200, "/readyz": 503} {
			response, err := client.Get(r.url(path))
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s: status = %d, want %d", path, response.StatusCode, want)
			}
		}
	})
}

func TestMigrateReturnsVersions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		c := configuration(t, place)
		for range 2 {
			versions, err := app.Migrate(t.Context(), c, false)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, version := range versions {
				got = append(got, version.Store)
			}
			if diff := cmp.Diff([]string{"inbox", "work", "queue"}, got); diff != "" {
				t.Errorf("migrated stores differ (-want +got):\n%s", diff)
			}
		}
	})
}
