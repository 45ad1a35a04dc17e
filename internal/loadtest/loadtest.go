// Package loadtest measures a receiver from outside and proves that it keeps its promise: it plays Deep Image at a fixed rate,
// and compares afterwards what was acknowledged with what the receiver stored.
package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
)

const (
	token          = "load-token-0123456789"
	sampleInterval = 500 * time.Millisecond
	auditPause     = time.Second // between two comparisons while events are unfinished
	fillTimeout    = 10 * time.Minute
)

// Options of a Run.
type Options struct {
	Binary   string       // the receiver
	Folder   string       // of all data; empty before
	Database secret.Value // Postgres URL of an empty database; zero for SQLite in Folder
	Env      []string     // more variables of the receiver
	Seed     uint64       // of all that is drawn by lot
	Timeout  time.Duration
	Progress func(text string)
}

// run is one load test.
type run struct {
	Options
	scenario Scenario
	vendor   *fakevendor.Vendor
	ledger   *Ledger
	receiver *Receiver
	traffic  traffic
	report   Report
}

// Run starts a receiver, sends the callbacks of a scenario, waits until all are processed, and compares.
func Run(ctx context.Context, scenario Scenario, options Options) (report Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, options.Timeout)
	defer cancel()
	if events := scenario.Rate * scenario.Duration.Seconds(); events > maxEvents || scenario.Body > maxBody {
		return Report{}, fmt.Errorf("loadtest: %.0f events with %d bytes are more than %d with %d", events, scenario.Body, maxEvents, maxBody)
	}
	r := &run{Options: options, scenario: scenario, ledger: NewLedger(), report: Report{Scenario: scenario}}
	if err := r.describe(ctx); err != nil {
		return Report{}, err
	}
	if r.vendor, err = fakevendor.Start(ctx, fakevendor.Options{}); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, r.vendor.Close()) }()
	log, err := os.Create(filepath.Join(options.Folder, "receiver.log"))
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if scenario.History > 0 {
		if err := r.fill(ctx, log); err != nil {
			return Report{}, err
		}
	}
	if r.receiver, err = Start(ctx, r.settings(log)); err != nil {
		return Report{}, err
	}
	defer r.receiver.Kill()
	if err := r.load(ctx); err != nil {
		return r.report, err
	}
	if err := r.receiver.Stop(); err != nil {
		return r.report, err
	}
	if leaks := r.receiver.Leaks(); leaks > 0 {
		return r.report, fmt.Errorf("loadtest: %d lines of the log hold the token", leaks)
	}
	return r.report, nil
}

func (r *run) settings(log *os.File) Settings {
	env := r.Env
	if !r.Database.IsZero() {
		env = append([]string{"RECEIVER_DATABASE_URL=" + r.Database.Reveal()}, env...)
	}
	return Settings{Command: exec.Command(r.Binary, "serve"), Folder: r.data(), Token: token, Env: env, Log: log} //nolint:gosec,noctx // Run ends it
}

func (r *run) data() string { return filepath.Join(r.Folder, "data") }

// load sends the callbacks and gathers the figures.
func (r *run) load(ctx context.Context) (err error) {
	r.traffic = traffic{
		scenario: r.scenario, vendor: r.vendor, ledger: r.ledger, random: rand.New(rand.NewPCG(r.Seed, 0)), webhook: r.receiver.Webhook(),
	}
	admin, err := adminclient.New(adminclient.Options{URL: "http://" + r.receiver.Admin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close(ctx)) }()
	since := time.Now().Add(-time.Second)
	r.report.ReadyMS = milliseconds(r.receiver.Ready)
	before, err := r.receiver.Metrics(ctx)
	if err != nil {
		return err
	}
	sampled := r.sample(ctx)
	send := r.steady
	if r.scenario.Ramp {
		send = r.ramp
	}
	err = send(ctx)
	ended := time.Now()
	if err == nil {
		r.Progress("waiting until all events are processed")
		others, _ := before.Unfinished() // of the history
		err = r.receiver.Drain(ctx, others)
	}
	peak := sampled()
	if err != nil {
		return err
	}
	after, err := r.receiver.Metrics(ctx)
	if err != nil {
		return err
	}
	r.Progress("comparing every event and file")
	if err := r.reconcile(ctx, Stores{Admin: admin, Images: filepath.Join(r.data(), "images"), Since: since}); err != nil {
		return err
	}
	r.report.figure(before, after, peak, ended)
	return nil
}

// reconcile compares until no event is unfinished: the counts of the receiver may be a second old.
func (r *run) reconcile(ctx context.Context, stores Stores) (err error) {
	for {
		r.report.Comparison, err = Reconcile(ctx, stores, r.ledger)
		if err != nil || r.report.Comparison.Open == 0 {
			return err
		}
		timer := time.NewTimer(auditPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil // the comparison says what is unfinished
		}
	}
}

func (r *run) steady(ctx context.Context) error {
	r.Progress("making images")
	callbacks, err := r.traffic.prepare(int(r.scenario.Rate * r.scenario.Duration.Seconds()))
	if err != nil {
		return err
	}
	r.Progress(fmt.Sprintf("sending %d callbacks, %.0f a second", len(callbacks), r.scenario.Rate))
	r.report.Sending, err = r.traffic.send(ctx, r.scenario.Rate, callbacks)
	return err
}

// ramp raises the rate until callbacks are refused or answers are slow, twice in a row. The report has the last good step.
func (r *run) ramp(ctx context.Context) error {
	rate, bad := r.scenario.Rate, 0
	for range maxRampSteps {
		callbacks, err := r.traffic.prepare(int(rate * r.scenario.Duration.Seconds()))
		if err != nil {
			return err
		}
		r.Progress(fmt.Sprintf("sending %.0f callbacks a second", rate))
		sending, err := r.traffic.send(ctx, rate, callbacks)
		if err != nil {
			return err
		}
		r.report.Ramp = append(r.report.Ramp, sending)
		if sending.Latency.P99 >= milliseconds(rampP99) || sending.Refused+sending.Failed > 0 {
			if bad++; bad == rampTries {
				return nil
			}
			continue
		}
		r.report.Sending, bad = sending, 0
		if rate *= rampFactor; rate > maxRate {
			return nil
		}
	}
	return nil
}

// sample reads the memory of the receiver until the returned function is called, which returns the peak in bytes.
func (r *run) sample(ctx context.Context) (peak func() float64) {
	ctx, cancel := context.WithCancel(ctx)
	highest := 0.0
	var sampling sync.WaitGroup
	sampling.Go(func() {
		ticker := time.NewTicker(sampleInterval)
		defer ticker.Stop()
		for {
			if bytes, err := r.receiver.memory(); err == nil {
				highest = max(highest, bytes)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() float64 {
		cancel()
		sampling.Wait()
		return highest
	}
}

// fill adds the history. It runs once before, for schemas and marks.
func (r *run) fill(ctx context.Context, log *os.File) (err error) {
	r.Progress(fmt.Sprintf("adding %d events", r.scenario.History))
	first, err := Start(ctx, r.settings(log))
	if err != nil {
		return err
	}
	if err := first.Stop(); err != nil {
		return err
	}
	if !r.Database.IsZero() {
		server, err := database.OpenServer(ctx, database.Config{URL: r.Database, MaxConnections: 12, StatementTimeout: fillTimeout})
		if err != nil {
			return err
		}
		return errors.Join(FillHistory(ctx, server.Inbox, server.Work, r.scenario.History), server.Close())
	}
	inbox, err := database.OpenSQLite(ctx, filepath.Join(r.data(), "inbox.db"))
	if err != nil {
		return err
	}
	work, err := database.OpenSQLite(ctx, filepath.Join(r.data(), "work.db"))
	if err != nil {
		return errors.Join(err, inbox.Close())
	}
	return errors.Join(FillHistory(ctx, inbox, work, r.scenario.History), inbox.Close(), work.Close())
}

// describe adds versions and machine to the report.
func (r *run) describe(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, r.Binary, "version", "--json").Output() //nolint:gosec // the program to measure
	if err != nil {
		return fmt.Errorf("loadtest: %s version: %w", r.Binary, err)
	}
	var build telemetry.Build
	if err := json.Unmarshal(output, &build); err != nil {
		return fmt.Errorf("loadtest: %s version: %w", r.Binary, err)
	}
	r.report.Receiver = build
	r.report.Database = "sqlite"
	if !r.Database.IsZero() {
		r.report.Database = "postgres"
	}
	r.report.Variables = slices.DeleteFunc(slices.Clone(r.Env), func(v string) bool { return !strings.HasPrefix(v, "RECEIVER_") })
	r.report.Machine, err = measureMachine(r.Folder)
	return err
}

func milliseconds(d time.Duration) float64 { return round(float64(d.Microseconds()) / 1000) }

// round keeps three digits after the point.
func round(value float64) float64 { return math.Round(value*1000) / 1000 }
