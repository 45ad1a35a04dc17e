package handlertest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

// goroutines is what goleak writes about goroutines that are left.
const goroutines = "found unexpected goroutines"

// faultVariable passes a fault to a child process.
const faultVariable = "HANDLERTEST_FAULT"

func TestMain(m *testing.M) { handlertest.Main(m) }

// TestSuiteFindsFaults runs the suite in child processes over handlers that have one fault each.
func TestSuiteFindsFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{ // the check that must fail
		"none":                          "",
		"fails":                         "good_events_succeed",
		"does nothing":                  "good_events_succeed",
		"shows the secret":              "other_failures_do_not_fail",
		"wraps the secret":              "other_failures_do_not_fail",
		"logs the secret":               "good_events_succeed",
		"records the secret":            "good_events_succeed",
		"records too little":            "good_events_succeed",
		"stores what is recorded":       "a_second_run_changes_nothing",
		"writes again":                  "a_run_after_a_crash_changes_nothing",
		"is never the same":             "a_run_after_a_crash_changes_nothing",
		"succeeds in spite of a cancel": "a_cancelled_context_is_an_error",
		"hides the deadline":            "the_deadline_ends_the_work",
		"fails at the deadline":         "the_deadline_ends_the_work",
		"retries for ever":              "permanent_failures_fail",
		"never retries":                 "other_failures_do_not_fail",
		"invents a reason":              "permanent_failures_fail",
		"leaves a goroutine":            goroutines,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPlanted$")
			child.Env = append(os.Environ(), faultVariable+"="+fault)
			output, err := child.CombinedOutput()
			text := "--- FAIL: TestPlanted/" + want
			if want == goroutines || want == "" {
				text = want
			}
			if (err != nil) != (want != "") || !strings.Contains(string(output), text) {
				t.Errorf("error = %v, want %q in\n%s", err, text, output)
			}
		})
	}
}

// TestPlanted runs in the child processes.
func TestPlanted(t *testing.T) {
	t.Parallel()
	fault := os.Getenv(faultVariable)
	if fault == "" {
		return
	}
	handlertest.Run(t, func(t *testing.T, environment handlertest.Environment) handlertest.Subject {
		t.Helper()
		h := &planted{fault: fault, log: environment.Log, written: map[string]string{}, reached: make(chan struct{})}
		carrying := func(job string) event.Event {
			body := `{"job":"` + job + `","result_url":"https://h/?token=` + environment.Secret + `"}`
			e, err := event.Decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		return handlertest.Subject{
			Handler:   h,
			Good:      []event.Event{carrying("good"), carrying("better")},
			Failing:   map[string]event.Event{"failing": carrying("failing")},
			Permanent: map[string]event.Event{"permanent": carrying("permanent")},
			Hanging:   carrying("hanging"),
			Reached:   h.reached,
			Effects:   h.effects,
		}
	})
}

// planted is a handler that is correct except for its fault.
type planted struct {
	fault   string
	log     zerolog.Logger
	reached chan struct{}

	mutex   sync.Mutex
	written map[string]string
	writes  int
}

// Handle writes one thing per event.
func (p *planted) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if p.fault == "logs the secret" {
		p.log.Info().Str("url", e.ResultURL).Msg("begin")
	}
	if p.fault == "leaves a goroutine" {
		go func() { <-make(chan struct{}) }()
	}
	if ctx.Err() != nil && p.fault != "succeeds in spite of a cancel" {
		return handler.Outcome{}, ctx.Err()
	}
	switch e.Job {
	case "hanging":
		return handler.Outcome{}, p.hang(ctx)
	case "failing":
		return handler.Outcome{}, p.fail(e)
	case "permanent":
		return handler.Outcome{}, p.refuse()
	}
	if p.fault == "fails" {
		return handler.Outcome{}, errors.New("not today")
	}
	return p.store(e), nil
}

func (p *planted) hang(ctx context.Context) error {
	close(p.reached)
	<-ctx.Done()
	switch p.fault {
	case "hides the deadline":
		return errors.New("it took too long")
	case "fails at the deadline":
		return handler.Fail(event.ReasonTimeout, ctx.Err())
	}
	return ctx.Err()
}

func (p *planted) fail(e event.Event) error {
	switch p.fault {
	case "shows the secret":
		return fmt.Errorf("cannot fetch %s", e.ResultURL)
	case "wraps the secret":
		return handler.Retry(event.ReasonOther, &quiet{errors.New(e.ResultURL)})
	case "never retries":
		return handler.Fail(event.ReasonServerError, errors.New("500"))
	}
	return handler.Retry(event.ReasonServerError, errors.New("500"))
}

func (p *planted) refuse() error {
	switch p.fault {
	case "retries for ever":
		return handler.Retry(event.ReasonExpired, errors.New("404"))
	case "invents a reason":
		return handler.Fail("bad_luck", errors.New("404"))
	}
	return handler.Fail(event.ReasonExpired, errors.New("404"))
}

func (p *planted) store(e event.Event) handler.Outcome {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.writes++
	if p.fault == "does nothing" || len(e.Artifacts) > 0 && p.fault != "stores what is recorded" {
		return handler.Outcome{}
	}
	p.written[e.Job] = "once"
	if p.fault == "writes again" {
		p.written[e.Job] = fmt.Sprintf("%d times", p.writes)
	}
	return handler.Outcome{Artifacts: []event.Artifact{p.artifact(e)}}
}

func (p *planted) artifact(e event.Event) event.Artifact {
	made := event.Artifact{
		Handler: "planted", Key: e.Job, URL: "file:///" + e.Job, Bytes: 1,
		SHA256: strings.Repeat("0", 64), MediaType: "image/png", Stored: time.Now(),
	}
	switch p.fault {
	case "records the secret":
		made.Source = e.ResultURL
	case "records too little":
		made.SHA256 = ""
	case "is never the same":
		made.Bytes = int64(p.writes)
	}
	return made
}

func (p *planted) effects(*testing.T) map[string]string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return maps.Clone(p.written)
}

// quiet hides the text of its cause.
type quiet struct{ error }

func (q *quiet) Error() string { return "it failed" }
func (q *quiet) Unwrap() error { return q.error }
