package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxLogLine   = 1 << 20          // bytes
	readyTimeout = 5 * time.Minute  // of a start, migrations included
	stopTimeout  = 90 * time.Second // of an orderly end
)

// Receiver is a receiver on loopback that runs as a process of its own.
type Receiver struct {
	Address string        // host:port of the public listener
	Admin   string        // host:port of the admin listener
	Ready   time.Duration // from the start of the process until it was ready

	command *exec.Cmd
	token   string
	leaks   atomic.Int64 // log lines with the token
	exited  chan struct{}
	err     error // of the process; read after exited
}

// Settings of a Receiver.
type Settings struct {
	Command *exec.Cmd // receiver serve; its environment is replaced
	Folder  string    // of all data
	Token   string    // of callbacks
	Env     []string  // more variables
	Log     io.Writer // gets the log; complete when the process has ended
}

// environment has all variables of the process. It may fetch from this machine only.
func (s Settings) environment() []string {
	return append([]string{
		"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_ADMIN_ADDR=127.0.0.1:0", "RECEIVER_DATA_DIR=" + s.Folder,
		"RECEIVER_WEBHOOK_TOKENS=" + s.Token, "RECEIVER_FETCH_ALLOWED_HOSTS=127.0.0.1", "RECEIVER_FETCH_ALLOWED_CIDRS=127.0.0.0/8",
		"RECEIVER_FETCH_ALLOW_HTTP=true", "RECEIVER_LOG_FORMAT=json", "RECEIVER_RETRY_MIN_DELAY=100ms", "RECEIVER_MIN_FREE_BYTES=1MiB",
		"RECEIVER_SHUTDOWN_DELAY=0s", // a signal begins the drain at once
	}, s.Env...)
}

// Start starts a receiver and waits until it is ready. The caller ends it with Stop or Kill.
func Start(ctx context.Context, settings Settings) (*Receiver, error) {
	r, ready, err := Launch(settings)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(readyTimeout)
	defer timer.Stop()
	select {
	case <-ready:
		return r, nil
	case <-r.exited:
		return nil, fmt.Errorf("loadtest: the receiver ended before it was ready: %w", r.err)
	case <-timer.C:
		err = fmt.Errorf("loadtest: the receiver was not ready within %s", readyTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.Kill()
	return nil, err
}

// Launch is Start without the wait: the channel is closed when the receiver is ready, if it ever is.
func Launch(settings Settings) (*Receiver, <-chan struct{}, error) {
	r := &Receiver{command: settings.Command, token: settings.Token, exited: make(chan struct{})}
	r.command.Env = settings.environment()
	stderr, err := r.command.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	begun := time.Now()
	if err := r.command.Start(); err != nil {
		return nil, nil, err
	}
	ready := make(chan struct{})
	go r.watch(stderr, settings.Log, begun, ready)
	return r, ready, nil
}

// watch copies the log until the process ends, and reads from it where the receiver listens.
func (r *Receiver) watch(stderr io.Reader, log io.Writer, begun time.Time, ready chan<- struct{}) {
	defer close(r.exited)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(r.token)) {
			r.leaks.Add(1)
		}
		_, _ = log.Write(append(lines.Bytes(), '\n')) // for people
		var line struct{ Message, Address, Admin string }
		if r.Address == "" && json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "receiver is ready" {
			r.Address, r.Admin, r.Ready = line.Address, line.Admin, time.Since(begun)
			close(ready)
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // after a line that is too long
	r.err = r.command.Wait()
}

// Webhook returns the URL for callbacks, with the token.
func (r *Receiver) Webhook() string { return "http://" + r.Address + "/webhooks/deep-image/" + r.token }

// Exited is closed when the process has ended.
func (r *Receiver) Exited() <-chan struct{} { return r.exited }

// Signal sends a signal to the process.
func (r *Receiver) Signal(signal syscall.Signal) error { return r.command.Process.Signal(signal) }

// Kill ends the process without any clean-up, and returns when it has ended.
func (r *Receiver) Kill() {
	_ = r.command.Process.Kill() // it may have ended
	<-r.exited
}

// Stop ends the process as an operator does, and returns an error unless it ends well and in time.
func (r *Receiver) Stop() error {
	if err := r.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("loadtest: stop: %w", errors.Join(err, r.err))
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-r.exited:
		return r.err
	case <-timer.C:
		r.Kill()
		return fmt.Errorf("loadtest: the receiver ran %s after SIGTERM", stopTimeout)
	}
}

// Metrics are the samples of one page of metrics, by name and labels.
type Metrics map[string]float64

const (
	metricsTimeout  = 30 * time.Second
	maxMetricsBytes = 16 << 20
)

// Metrics reads the metrics. A page that holds the token is an error.
func (r *Receiver) Metrics(ctx context.Context) (Metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Admin+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	page, err := io.ReadAll(io.LimitReader(response.Body, maxMetricsBytes))
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("loadtest: metrics: %s: %w", response.Status, err)
	}
	if bytes.Contains(page, []byte(r.token)) {
		return nil, errors.New("loadtest: the metrics hold the token")
	}
	metrics := Metrics{}
	for line := range strings.Lines(string(page)) {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
			metrics[line[:at]] = value
		}
	}
	return metrics, nil
}

// Unfinished returns how many accepted events are neither done nor dead nor quarantined.
func (m Metrics) Unfinished() (events float64, known bool) {
	backlog, known := m["receiver_backlog"]
	for _, state := range []string{"pending", "running", "retrying"} {
		events += m[`receiver_events{state="`+state+`"}`]
	}
	return events + backlog, known
}

const drainInterval = 100 * time.Millisecond

// Drain waits until no accepted event is unfinished but those of others.
func (r *Receiver) Drain(ctx context.Context, others float64) error {
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for {
		metrics, err := r.Metrics(ctx)
		events, known := metrics.Unfinished()
		if err == nil && known && events <= others {
			return nil
		}
		select {
		case <-ticker.C:
		case <-r.exited:
			return fmt.Errorf("loadtest: the receiver ended while it drained: %w", r.err)
		case <-ctx.Done():
			return fmt.Errorf("loadtest: %.0f events are unfinished: %w", events, errors.Join(ctx.Err(), err))
		}
	}
}

// Leaks returns how many lines of the log hold the token.
func (r *Receiver) Leaks() int64 { return r.leaks.Load() }
