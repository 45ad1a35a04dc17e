package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const (
	pictures       = 48 // different images; equal ones are made once
	slowParts      = 20 // of a slow transfer
	duplicateAfter = 32 // callbacks between a callback and its duplicate
	forgedToken    = "forged-token-0123456789"

	connections    = 256 // idle connections of the sender
	maxWorkers     = 4096
	requestTimeout = 30 * time.Second
	maxAnswer      = 4 << 10 // bytes
	highest        = 2 * requestTimeout
)

// traffic makes callbacks and sends them.
type traffic struct {
	scenario Scenario
	vendor   *fakevendor.Vendor
	ledger   *Ledger
	random   *rand.Rand
	webhook  string
}

// callback is one request to send.
type callback struct {
	url  string
	body []byte
}

// prepare makes the callbacks of so many jobs, with their duplicates and forgeries.
func (t *traffic) prepare(jobs int) ([]callback, error) {
	callbacks := make([]callback, 0, jobs)
	later := make([][]callback, jobs+duplicateAfter)
	for n := range jobs {
		job, err := t.vendor.NewJob(t.job())
		if err != nil {
			return nil, err
		}
		t.ledger.Send(job)
		made := callback{url: t.webhook, body: t.vendor.Callback(job, t.webhook)}
		callbacks = append(append(callbacks, made), later[n]...)
		if t.happens(t.scenario.Shares.Duplicate) {
			at := n + t.random.IntN(duplicateAfter)
			later[at] = append(later[at], made)
		}
		if t.happens(t.scenario.Shares.Forged) {
			wrong := t.webhook[:strings.LastIndexByte(t.webhook, '/')+1] + forgedToken
			body := fmt.Appendf(nil, `{"job":"forged-%d-%d","result_url":%q}`, n, t.random.Uint32(), job.ResultURL)
			callbacks = append(callbacks, callback{url: wrong, body: body})
		}
	}
	for _, made := range later[jobs:] {
		callbacks = append(callbacks, made...)
	}
	return callbacks, nil
}

func (t *traffic) happens(share float64) bool { return t.random.Float64() < share }

// job returns the options of the next job.
func (t *traffic) job() fakevendor.JobOptions {
	s := t.scenario
	options := fakevendor.JobOptions{
		Width: s.Image.Width, Height: s.Image.Height, Bytes: s.Image.Bytes, Images: max(s.Images, 1),
		Seed: 1 + t.random.Uint64N(pictures),
	}
	if options.Images > 1 {
		options.Shape = fakevendor.ResultStrings
	}
	if s.Body > 0 {
		data, err := json.Marshal(map[string]string{"url": "base64," + strings.Repeat("A", s.Body)})
		if err == nil { // text can always be encoded
			options.Data = data
		}
	}
	switch {
	case t.happens(s.Shares.Broken):
		options.Middleware = fakevendor.First(1, fakevendor.Break(50))
	case t.happens(s.Shares.Slow):
		slow := fakevendor.Interrupt(100/slowParts, true, func(r *http.Request) { _ = background.Sleep(r.Context(), s.Pause) })
		options.Middleware = func(_ int, next http.Handler) http.Handler { return slow(next) }
	}
	return options
}

// Sending is the outcome of sending callbacks.
type Sending struct {
	Sent       int       `json:"sent"`
	Accepted   int       `json:"accepted"`   // answers 200, duplicates included
	Refused    int       `json:"refused"`    // answers 503 and others that ask to come again
	Failed     int       `json:"failed"`     // no answer in time, or one that breaks the contract
	Turned     int       `json:"turned"`     // forged callbacks that got 401
	Rate       float64   `json:"rate"`       // callbacks a second that were sent
	Latency    Latencies `json:"latency_ms"` // of all answers, from the moment at which the callback was due
	BodyBytes  float64   `json:"body_bytes"` // on average
	FirstFault string    `json:"first_fault,omitempty"`
}

// Latencies are in milliseconds.
type Latencies struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// latencies returns the percentiles of a histogram of microseconds.
func latencies(h *hdrhistogram.Histogram) Latencies {
	at := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / 1000 }
	return Latencies{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
}

// send sends callbacks at a fixed rate, whatever the answers, and records the answers.
func (t *traffic) send(ctx context.Context, rate float64, callbacks []callback) (Sending, error) {
	if rate <= 0 || rate > maxRate {
		return Sending{}, fmt.Errorf("loadtest: a rate of %v is not above 0 and at most %d", rate, maxRate)
	}
	attacker := vegeta.NewAttacker(vegeta.Connections(connections), vegeta.MaxConnections(connections), vegeta.Workers(connections),
		vegeta.MaxWorkers(maxWorkers), vegeta.Timeout(requestTimeout), vegeta.MaxBody(maxAnswer), vegeta.Redirects(vegeta.NoFollow),
		vegeta.Proxy(nil), vegeta.HTTP2(false))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	pacer := vegeta.Rate{Freq: int(rate * 1000), Per: 1000 * time.Second}
	begun := time.Now()
	results := attacker.Attack(next(callbacks), pacer, 0, "") // until there is no callback left
	answers := answers{histogram: hdrhistogram.New(1, highest.Microseconds(), 3), ledger: t.ledger}
	last := begun
	for result := range results {
		due := begun.Add(time.Duration(float64(result.Seq+1) / rate * float64(time.Second)))
		answers.add(result, result.Timestamp.Add(result.Latency).Sub(due))
		if result.Timestamp.After(last) {
			last = result.Timestamp
		}
	}
	answers.sending.Latency = latencies(answers.histogram)
	if seconds := last.Sub(begun).Seconds(); seconds > 0 {
		answers.sending.Rate = float64(answers.sending.Sent-1) / seconds
	}
	if answers.sending.Sent > 0 {
		answers.sending.BodyBytes /= float64(answers.sending.Sent)
	}
	return answers.sending, ctx.Err()
}

// next returns each callback once.
func next(callbacks []callback) vegeta.Targeter {
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"fake-deep-image/1"}}
	var sent atomic.Int64
	return func(target *vegeta.Target) error {
		n := int(sent.Add(1)) - 1
		if n >= len(callbacks) {
			return vegeta.ErrNoTargets
		}
		target.Method, target.URL, target.Body, target.Header = http.MethodPost, callbacks[n].url, callbacks[n].body, header
		return nil
	}
}

// answers counts what came back.
type answers struct {
	histogram *hdrhistogram.Histogram
	ledger    *Ledger
	sending   Sending
}

func (a *answers) add(result *vegeta.Result, latency time.Duration) {
	if result.Error == vegeta.ErrNoTargets.Error() {
		return
	}
	s := &a.sending
	s.Sent++
	s.BodyBytes += float64(result.BytesOut)
	_ = a.histogram.RecordValue(min(max(latency.Microseconds(), 1), highest.Microseconds())) // within its range
	forged := strings.HasSuffix(result.URL, forgedToken)
	switch {
	case forged && result.Code == http.StatusUnauthorized:
		s.Turned++
	case !forged && result.Code == http.StatusOK:
		s.Accepted++
		a.ledger.Answer(int(result.Code), result.Body)
	case !forged && (result.Code == http.StatusServiceUnavailable || result.Code == http.StatusTooManyRequests):
		s.Refused++
	default:
		s.Failed++
		if s.FirstFault == "" {
			s.FirstFault = fmt.Sprintf("status %d, error %q", result.Code, strings.ReplaceAll(result.Error, result.URL, "the webhook"))
		}
	}
}
