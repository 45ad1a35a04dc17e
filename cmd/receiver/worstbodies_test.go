package main_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/dustin/go-humanize"
)

// The limits of the deployment files.
const (
	deployedGoLimit = "640MiB"
	deployedLimit   = 768 << 20 // bytes
)

const (
	worstBytes  = 31 << 20 // of a body; the limit is 32 MiB
	worstPosts  = 60       // at the same time
	worstStored = 12       // at the second start
)

// worstBody is a kind of body that takes much memory. Only its beginning differs from post to post.
type worstBody struct {
	name    string
	header  http.Header
	start   string // with $ for the job and @ for the address of its result
	payload []byte
	end     string
	refused int // status; 0 if it is accepted
}

// worstBodies returns the kinds.
func worstBodies() []worstBody {
	list := func(item func(n int) string, open, end string) []byte {
		text := bytes.NewBufferString(open + item(0))
		for n := 1; text.Len() < worstBytes; n++ {
			text.WriteString("," + item(n))
		}
		return append(text.Bytes(), end...)
	}
	text := []byte(`"` + strings.Repeat("x", worstBytes) + `"`)
	const start = `{"job":"$","result_url":"@",`
	return []worstBody{
		{name: "keys", start: start + `"data":`, payload: list(func(n int) string { return fmt.Sprintf(`"%0300d":%d`, n, n) }, "{", "}"), end: "}"},
		{name: "results", start: start + `"data":`, payload: list(func(int) string { return `{"a":"https://h/?` + strings.Repeat("a", 4000) + `"}` }, "[", "]"), end: "}"},
		{name: "string", start: start + `"data":`, payload: text, end: "}"},
		{name: "result", start: `{"job":"$","result_url":"@","results":`, payload: append([]byte(`"https://h/a.png?`), text[1:]...), end: "}"},
		{name: "elements", start: start + `"data":`, payload: list(func(int) string { return `{"a":"b?c=d"}` }, "[", "]"), end: "}"},
		{name: "defects", start: start + `"data":`, payload: list(func(int) string { return `"\ud800"` }, strings.Repeat("[", 70), strings.Repeat("]", 70)), end: "}"},
		{name: "job", start: `{"x":"$","job":`, payload: text, end: "}", refused: http.StatusUnprocessableEntity},
		{name: "malformed", start: `{"job":"$","data":`, payload: text, refused: http.StatusBadRequest},
		{
			name: "form", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			start: `payload=%7B"job":"$","result_url":"@","data":`, payload: text, end: "%7D",
		},
	}
}

// post posts a body and returns the status; 0 without an answer.
func (b worstBody) post(t *testing.T, client *http.Client, address, images string, n int) int {
	t.Helper()
	start := strings.NewReplacer("$", b.name+"-"+strconv.Itoa(n), "@", images+"/"+strconv.Itoa(n)+".png").Replace(b.start)
	body := io.MultiReader(strings.NewReader(start), bytes.NewReader(b.payload), strings.NewReader(b.end))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
	if err != nil {
		return 0
	}
	request.ContentLength = int64(len(start) + len(b.payload) + len(b.end))
	maps.Copy(request.Header, b.header)
	response, err := client.Do(request)
	if err != nil {
		t.Errorf("%s: error = %v, want an answer", b.name, err)
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// postWorst posts many bodies at the same time and returns the number of accepted ones.
func postWorst(t *testing.T, address, images string, kinds []worstBody) (accepted int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	var mutex sync.Mutex
	var posts sync.WaitGroup
	statuses := map[int]int{}
	for n := range worstPosts {
		kind := kinds[n%len(kinds)]
		posts.Go(func() {
			status := kind.post(t, client, address, images, n)
			mutex.Lock()
			defer mutex.Unlock()
			statuses[status]++
			switch status {
			case http.StatusOK:
				accepted++
			case kind.refused, http.StatusServiceUnavailable:
			default:
				t.Errorf("F4 %s: status = %d, want 200, 503 or %d", kind.name, status, kind.refused)
			}
		})
	}
	small := worstBody{start: `{"job":"small-$","data":{}}`}
	if status := small.post(t, client, address, images, 0); status != http.StatusOK {
		t.Errorf("D3 small body beside large ones: status = %d, want 200", status)
	}
	posts.Wait()
	t.Logf("answers by status: %v", statuses)
	began := time.Now()
	for n := worstPosts; accepted < worstStored; n++ {
		kind := kinds[n%len(kinds)]
		if status := kind.post(t, client, address, images, n); status == http.StatusOK {
			accepted++
		} else if status != kind.refused && (status != http.StatusServiceUnavailable || time.Since(began) > crashWait) { // a busy disk
			t.Fatalf("F4 %s alone: status = %d, want 200 or %d", kind.name, status, kind.refused)
		}
	}
	return accepted
}

// TestWorstBodies posts bodies of the largest size that take the most memory, many at once, and starts again while they are processed.
// Both processes stay within the limits of the deployment files.
func TestWorstBodies(t *testing.T) { //nolint:paralleltest // takes much memory itself
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports the peak of a process")
	}
	rows := []struct {
		name  string
		kind  database.Kind
		limit func(t *testing.T) string
	}{
		{"SQLite", database.SQLite, hardLimit},
		{"SQLite, limited address space", database.SQLite, func(*testing.T) string { return addressSpace() }},
		{"Postgres", database.Postgres, hardLimit},
	}
	kinds := worstBodies()
	for _, row := range rows { //nolint:paralleltest // likewise
		t.Run("D1 F4 "+row.name, func(t *testing.T) {
			if row.kind == database.Postgres {
				databasetest.NeedPostgres(t)
			}
			takeWorst(t, kinds, databasetest.NewPlace(t, row.kind), row.limit(t))
		})
	}
}

// takeWorst posts the bodies to a receiver with a limit of memory, and starts it again.
func takeWorst(t *testing.T, kinds []worstBody, place *databasetest.Place, limit string) {
	t.Helper()
	release := make(chan struct{})
	images := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			w.Header().Set("Content-Type", "image/png")
			_ = png.Encode(w, image.NewGray(image.Rect(0, 0, 8, 8)))
		case <-r.Context().Done():
		}
	}))
	defer images.Close()
	folder := diskFolder(t)
	env := []string{"GOMEMLIMIT=" + deployedGoLimit, "RECEIVER_WEBHOOK_ACCEPT_TIMEOUT=3s"}
	if place.Kind == database.Postgres {
		env = append(env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal(), "RECEIVER_QUEUE_LEASE="+replicaLease.String())
	} else {
		place.Folder = folder
	}
	p := serveUnder(t, limit, folder, env...)
	accepted := postWorst(t, p.webhook(), images.URL, kinds)
	checkPeak(t, "D1 F4 while bodies arrive", p)
	p.kill()
	close(release)
	p = serveUnder(t, limit, folder, env...)
	readBodies(t, p)
	waitForSteps(t, place, p, accepted)
	checkPeak(t, "D1 while stored bodies are processed", p)
}

// diskFolder returns a folder that is on a disk, unlike that of the other tests: a control group counts files in memory.
func diskFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/var/tmp", "receiver-test-") //nolint:usetesting // t.TempDir may be in memory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// addressSpace returns a shell command that limits the address space of its shell, of which Go reserves much more than it uses.
func addressSpace() string {
	const reserved = 1536 << 20
	return "ulimit -v " + strconv.Itoa((deployedLimit+reserved)>>10)
}

// hardLimit returns a shell command that limits the memory of its shell: by a control group where the machine allows it,
// else by the address space.
func hardLimit(t *testing.T) string {
	t.Helper()
	for _, kind := range []struct{ mount, limit string }{
		{mount: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes"},
		{mount: "/sys/fs/cgroup", limit: "memory.max"},
	} {
		group, err := os.MkdirTemp(kind.mount, "receiver-test-") //nolint:usetesting // a control group
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(group) })
		err = os.WriteFile(filepath.Join(group, kind.limit), []byte(strconv.Itoa(deployedLimit)), 0o600)
		members := filepath.Join(group, "cgroup.procs")
		if err == nil && exec.Command("/bin/sh", "-c", "echo $$ > "+members).Run() == nil {
			return "echo $$ > " + members
		}
	}
	return addressSpace()
}

// serveUnder is serve with a limit of memory.
func serveUnder(t *testing.T, limit, folder string, env ...string) *process {
	t.Helper()
	return serveCommand(t, exec.Command("/bin/sh", "-c", limit+` && exec "$0" serve`, binary(t)), folder, env...)
}

// checkPeak fails if a process took more memory than the deployment files give it, or was killed for it.
func checkPeak(t *testing.T, name string, p *process) {
	t.Helper()
	select {
	case <-p.exited:
		t.Fatalf("%s: receiver exited with %v, want it running\n%s", name, p.err, p.log)
	default:
	}
	peak := peakOf(t, p.command.Process.Pid)
	t.Logf("%s: peak of memory %s", name, humanize.IBytes(peak))
	if peak > deployedLimit {
		t.Errorf("%s: peak = %s, want at most %s", name, humanize.IBytes(peak), humanize.IBytes(deployedLimit))
	}
}

// readBodies asks the admin listener for all events and rejections, with their bodies, at the same time.
func readBodies(t *testing.T, p *process) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: processTimeout}
	defer client.CloseIdleConnections()
	get := func(path string) []byte {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.admin+path, nil)
		if err != nil {
			t.Errorf("D1 GET %s: %v", path, err)
			return nil
		}
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("D1 GET %s: %v", path, err)
			return nil
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		if status := response.StatusCode; err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("D1 GET %s: status = %d, error %v, want 200 or 503", path, status, err)
		}
		return content
	}
	var list struct{ Events []struct{ ID string } }
	if err := json.Unmarshal(get("/api/v1/events"), &list); err != nil || len(list.Events) == 0 {
		t.Fatalf("D1 events = %v, error %v, want some", list.Events, err)
	}
	var requests sync.WaitGroup
	for n, e := range list.Events {
		for _, path := range []string{"/api/v1/events/" + e.ID, "/events/" + e.ID, "/api/v1/events/" + e.ID + "/body", "/api/v1/rejections"} {
			if n < worstStored {
				requests.Go(func() { get(path) })
			}
		}
	}
	requests.Wait()
}

// waitForSteps waits until all events have been processed.
func waitForSteps(t *testing.T, place *databasetest.Place, p *process, accepted int) {
	t.Helper()
	var work *sql.DB
	if place.Kind == database.Postgres {
		work = place.Open(t).Work.Reader
	} else {
		work = reader(t, place.Folder, "work.db")
	}
	deadline := time.After(crashWait)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		done := count(t, work, "SELECT count(*) FROM events WHERE state = 'done'")
		if done >= accepted {
			return
		}
		select {
		case <-look.C:
		case <-p.exited:
			t.Fatalf("receiver exited with %v, want it running\n%s", p.err, p.log)
		case <-deadline:
			t.Fatalf("D1 done events = %d, want %d", done, accepted)
		}
	}
}

// TestDeployedLimits wants the limits with which TestWorstBodies runs in the deployment files, and a budget that they do not lower.
func TestDeployedLimits(t *testing.T) {
	t.Parallel()
	for file, lines := range map[string][]string{
		"compose.yaml":                    {"GOMEMLIMIT: " + deployedGoLimit, "limits: { cpus: \"2\", memory: 768M, "},
		"kubernetes/base/deployment.yaml": {"{ name: GOMEMLIMIT, value: " + deployedGoLimit + " }", "limits: { memory: 768Mi, "},
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
		if errors.Is(err, fs.ErrNotExist) {
			return // an unpacked program without its deployment files
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(string(text), line) {
				t.Errorf("F4 %s lacks %q, want it as in TestWorstBodies", file, line)
			}
		}
	}
	const defaultBudget = 256 << 20
	if got := memory.Limit(640 << 20).Budget(defaultBudget); got != defaultBudget {
		t.Errorf("F4 budget under the deployed limit = %d, want the default %d", got, defaultBudget)
	}
}
