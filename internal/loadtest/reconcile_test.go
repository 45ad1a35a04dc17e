package loadtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/loadtest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// state is what a receiver has stored: two events with one image each.
type state struct {
	folder string
	ledger *loadtest.Ledger
	events []adminclient.Event
}

func newState(t *testing.T) *state {
	t.Helper()
	s := &state{folder: t.TempDir(), ledger: loadtest.NewLedger()}
	for _, job := range []string{"a", "b"} {
		sum := s.write(t, job+"/image", "image of "+job)
		s.ledger.Send(fakevendor.Job{ID: job, Images: []fakevendor.Image{{SHA256: sum}}})
		s.answer("event-"+job, job)
		stored := adminclient.Artifact{Artifact: event.Artifact{Key: job + "/image", SHA256: sum}}
		manifest := adminclient.Artifact{Artifact: event.Artifact{Index: -1, Key: job + "/event.json", SHA256: s.write(t, job+"/event.json", "{}")}}
		s.events = append(s.events, adminclient.Event{
			Event:     history.Event{ID: event.ID("event-" + job), Job: job, State: event.Done, Received: time.Now()},
			Steps:     []history.Step{{Handler: "download", State: event.Done, Attempts: []history.Attempt{{Outcome: event.Done}}}},
			Artifacts: []adminclient.Artifact{stored, manifest},
		})
	}
	return s
}

// write writes a file of the bucket and returns its SHA-256.
func (s *state) write(t *testing.T, key, content string) string {
	t.Helper()
	path := filepath.Join(s.folder, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func (s *state) answer(id, job string) {
	s.ledger.Answer(http.StatusOK, fmt.Appendf(nil, `{"id":%q,"job":%q,"status":"accepted"}`, id, job))
}

// ServeHTTP answers as the admin API does.
func (s *state) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	if r.URL.Path == "/api/v1/events" {
		list := []adminclient.EventSummary{}
		for _, e := range s.events {
			list = append(list, adminclient.EventSummary{Event: e.Event})
		}
		answer = map[string]any{"events": list}
	} else {
		at := slices.IndexFunc(s.events, func(e adminclient.Event) bool { return r.URL.Path == "/api/v1/events/"+string(e.ID) })
		answer = s.events[at]
	}
	_ = json.NewEncoder(w).Encode(answer) // the client reads it
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	perfect := loadtest.Comparison{Acknowledged: 2, Events: 2, Done: 2, Right: 2, Files: 4}
	with := func(change func(f *loadtest.Comparison)) loadtest.Comparison {
		changed := perfect
		change(&changed)
		return changed
	}
	for name, row := range map[string]struct {
		change  func(t *testing.T, s *state)
		want    loadtest.Comparison
		perfect bool
		whole   bool
	}{
		"all well": {change: func(*testing.T, *state) {}, want: perfect, perfect: true, whole: true},
		"repeated callback": {
			change: func(_ *testing.T, s *state) { s.answer("event-a", "a") },
			want:   with(func(f *loadtest.Comparison) { f.Repeats = 1 }), perfect: true, whole: true,
		},
		"refused callback": {
			change: func(_ *testing.T, s *state) { s.ledger.Answer(http.StatusServiceUnavailable, nil) }, want: perfect, perfect: true, whole: true,
		},
		"missing event": {
			change: func(t *testing.T, s *state) {
				s.events = s.events[:1]
				if err := os.RemoveAll(filepath.Join(s.folder, "b")); err != nil {
					t.Fatal(err)
				}
			},
			want: with(func(f *loadtest.Comparison) { f.Events, f.Done, f.Right, f.Files, f.Missing = 1, 1, 1, 2, 1 }),
		},
		"two events of a job": {
			change: func(_ *testing.T, s *state) { s.events = append(s.events, s.events[0]) },
			want:   with(func(f *loadtest.Comparison) { f.Events, f.Done, f.Right, f.Doubled = 3, 3, 3, 1 }),
		},
		"another id for a repeat": {
			change: func(_ *testing.T, s *state) { s.answer("event-c", "a") }, want: with(func(f *loadtest.Comparison) { f.Other = 1 }),
		},
		"acknowledged, but never sent": {
			change: func(_ *testing.T, s *state) { s.answer("event-c", "c") }, want: with(func(f *loadtest.Comparison) { f.Other = 1 }),
		},
		"step done twice": {
			change: func(_ *testing.T, s *state) {
				step := &s.events[0].Steps[0]
				step.Attempts = append(step.Attempts, step.Attempts[0])
			},
			want: with(func(f *loadtest.Comparison) { f.Doubled = 1 }),
		},
		"damaged file": {
			change: func(t *testing.T, s *state) { s.write(t, "a/image", "image of") },
			want:   with(func(f *loadtest.Comparison) { f.Right, f.Wrong = 1, 1 }),
		},
		"damaged manifest": {
			change: func(t *testing.T, s *state) { s.write(t, "a/event.json", "{") },
			want:   with(func(f *loadtest.Comparison) { f.Right, f.Wrong = 1, 1 }),
		},
		"image of another job": {
			change: func(_ *testing.T, s *state) { s.events[0].Artifacts[0] = s.events[1].Artifacts[0] },
			want:   with(func(f *loadtest.Comparison) { f.Right, f.Wrong, f.Stray = 1, 1, 1 }),
		},
		"temporary file": {
			change: func(t *testing.T, s *state) { s.write(t, ".spool/1", "half") }, want: with(func(f *loadtest.Comparison) { f.Files, f.Stray = 5, 1 }),
		},
		"unfinished event": {
			change: func(_ *testing.T, s *state) { s.events[0].State = event.Retrying },
			want:   with(func(f *loadtest.Comparison) { f.Done, f.Right, f.Open = 1, 1, 1 }),
		},
		"dead event": {
			change: func(_ *testing.T, s *state) {
				s.events[0].State = event.Dead
				s.events[0].Steps[0].State, s.events[0].Steps[0].Reason, s.events[0].Steps[0].Detail = event.Dead, event.ReasonExpired, "gone"
			},
			want: with(func(f *loadtest.Comparison) { f.Done, f.Right, f.Dead = 1, 1, 1 }), whole: true,
		},
		"dead without a reason": {
			change: func(_ *testing.T, s *state) { s.events[0].State, s.events[0].Steps[0].State = event.Dead, event.Dead },
			want:   with(func(f *loadtest.Comparison) { f.Done, f.Right, f.Dead, f.Other = 1, 1, 1, 1 }),
		},
		"forgery acted on": {
			change: func(_ *testing.T, s *state) {
				s.ledger.Forge(fakevendor.Job{ID: "forged"})
				s.events = append(s.events, adminclient.Event{Event: history.Event{ID: "event-f", Job: "forged", State: event.Done, Received: time.Now()}})
			},
			want: with(func(f *loadtest.Comparison) { f.Events, f.Forged = 3, 1 }),
		},
		"older event of others": {
			change: func(_ *testing.T, s *state) {
				s.events = append(s.events, adminclient.Event{Event: history.Event{ID: "old", Job: "old", Received: time.Now().Add(-time.Hour)}})
			},
			want: perfect, perfect: true, whole: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newState(t)
			row.change(t, s)
			server := httptest.NewServer(s)
			defer server.Close()
			admin, err := adminclient.New(adminclient.Options{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close(t.Context())
			got, err := loadtest.Reconcile(t.Context(), loadtest.Stores{Admin: admin, Images: s.folder, Since: time.Now().Add(-time.Minute)}, s.ledger)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got, cmpopts.IgnoreFields(loadtest.Comparison{}, "Details", "Begun", "Finished")); diff != "" {
				t.Errorf("comparison differ (-want +got):\n%s%q", diff, got.Details)
			}
			if got.Perfect() != row.perfect || got.Whole() != row.whole {
				t.Errorf("perfect, whole = %v, %v, want %v, %v", got.Perfect(), got.Whole(), row.perfect, row.whole)
			}
		})
	}
}
