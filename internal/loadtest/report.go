package loadtest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/dustin/go-humanize"
)

// Report is the result of a load test.
type Report struct {
	Scenario   Scenario        `json:"scenario"`
	Sending    Sending         `json:"sending"`        // of a ramp, its last good step
	Ramp       []Sending       `json:"ramp,omitempty"` // every step
	Comparison Comparison      `json:"comparison"`
	Figures    Figures         `json:"figures"`
	ReadyMS    float64         `json:"ready_ms"` // from the start of the process
	Database   string          `json:"database"`
	Variables  []string        `json:"variables,omitempty"` // of the receiver, as given
	Receiver   telemetry.Build `json:"receiver"`
	Machine    Machine         `json:"machine"`
}

// Figures are the costs of a load.
type Figures struct {
	DrainSeconds    float64 `json:"drain_seconds"`     // from the last callback until the last event was processed
	EventsPerSecond float64 `json:"events_per_second"` // from the first event until then
	CPUPerEvent     float64 `json:"cpu_ms_per_event"`  // CPU time of the receiver
	PeakMemory      float64 `json:"peak_memory_bytes"` // resident set size
	ImageBytes      float64 `json:"image_bytes"`       // stored, in all
	Goroutines      float64 `json:"goroutines"`        // at the end
	Descriptors     float64 `json:"descriptors"`       // open files at the end
}

// Machine is where the test ran.
type Machine struct {
	CPUs     int     `json:"cpus"`
	Platform string  `json:"platform"`
	Go       string  `json:"go"`      // of the load test
	SyncMS   float64 `json:"sync_ms"` // median time of a sync of 4 KiB in the folder
}

// Perfect reports whether nothing was refused, lost, doubled or damaged. A ramp ends with refusals.
func (r *Report) Perfect() bool {
	refused := r.Sending.Refused + r.Sending.Failed
	return r.Comparison.Perfect() && r.Comparison.Acknowledged > 0 && (refused == 0 || r.Scenario.Ramp)
}

func (r *Report) figure(before, after Metrics, peak float64, ended time.Time) {
	events := float64(r.Comparison.Events)
	finished := r.Comparison.Finished
	if finished.Before(ended) {
		finished = ended
	}
	r.Figures = Figures{
		DrainSeconds: round(finished.Sub(ended).Seconds()),
		PeakMemory:   max(peak, after["process_resident_memory_bytes"]),
		ImageBytes:   after[`receiver_artifact_bytes_total{handler="download"}`],
		Goroutines:   after["go_goroutines"], Descriptors: after["process_open_fds"],
	}
	if seconds := finished.Sub(r.Comparison.Begun).Seconds(); events > 0 && seconds > 0 {
		r.Figures.EventsPerSecond = round(events / seconds)
		r.Figures.CPUPerEvent = round((after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) * 1000 / events)
	}
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, values...))
	}
	s, f, g, l := r.Sending, r.Comparison, r.Figures, r.Sending.Latency
	row("scenario", "%s: %s", r.Scenario.Name, r.Scenario.Says)
	row("receiver", "%s, %s, %s, %s", r.Receiver.Version, r.Receiver.Go, r.Receiver.Platform, r.Database)
	row("machine", "%d CPUs, shared with the sender and the image host; a sync takes %.2f ms", r.Machine.CPUs, r.Machine.SyncMS)
	for _, step := range r.Ramp {
		row("step", "%.0f a second: p50 %.1f ms, p99 %.1f ms, refused %d, failed %d", step.Rate, step.Latency.P50, step.Latency.P99, step.Refused, step.Failed)
	}
	row("sent", "%d callbacks of %.0f bytes, %.0f a second", s.Sent, s.BodyBytes, s.Rate)
	row("answers", "%d accepted, %d refused, %d failed, %d forged and turned away %s", s.Accepted, s.Refused, s.Failed, s.Turned, s.FirstFault)
	row("latency", "p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.1f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
	row("processed", "%.0f events a second, the last %.2f s after the last callback", g.EventsPerSecond, g.DrainSeconds)
	row("cost", "%.2f ms of CPU for each event, peak memory %s", g.CPUPerEvent, humanize.IBytes(uint64(g.PeakMemory)))
	row("ready", "%.0f ms after the start, with %d events", r.ReadyMS, r.Scenario.History)
	row("events", "%d acknowledged, %d found, %d done, %d with the right files, %d dead, %d unfinished",
		f.Acknowledged, f.Events, f.Done, f.Right, f.Dead, f.Open)
	row("faults", "%d missing, %d doubled, %d wrong files, %d stray files, %d forgeries accepted, %d others",
		f.Missing, f.Doubled, f.Wrong, f.Stray, f.Forged, f.Other)
	for _, detail := range f.Details {
		row("", "%s", detail)
	}
	return table.Flush()
}

// memory returns the peak of the resident memory of the process, in bytes. Only Linux knows it.
func (r *Receiver) memory() (float64, error) {
	const name = "VmHWM:"
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			bytes, err := humanize.ParseBytes(strings.Replace(strings.TrimSpace(rest), "kB", "KiB", 1))
			return float64(bytes), err
		}
	}
	return 0, fmt.Errorf("loadtest: no line %s", name)
}

// measureMachine measures syncs in folder.
func measureMachine(folder string) (Machine, error) {
	const syncs, page = 21, 4096
	machine := Machine{CPUs: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	path := filepath.Join(folder, "sync")
	file, err := os.Create(path)
	if err != nil {
		return machine, err
	}
	var took []time.Duration
	for n := 0; err == nil && n < syncs; n++ {
		begun := time.Now()
		if _, err = file.Write(make([]byte, page)); err == nil {
			err = file.Sync()
		}
		took = append(took, time.Since(begun))
	}
	if err != nil {
		_ = file.Close()
		return machine, err
	}
	slices.Sort(took)
	machine.SyncMS = milliseconds(took[len(took)/2])
	if err := file.Close(); err != nil {
		return machine, err
	}
	return machine, os.Remove(path)
}
