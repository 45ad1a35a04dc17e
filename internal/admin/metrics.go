package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/prometheus/client_golang/prometheus"
)

// collectTimeout bounds the wait of the first scrape, below the ten seconds of Prometheus.
const collectTimeout = 4 * time.Second

// acceptedState is the label of events that are accepted and not in the workflow yet.
const acceptedState = "accepted"

// Collector returns the metrics of the stores and disks. They are measured in the background between Start and Stop of the Measurer.
func (a *Admin) Collector(measurer *Measurer) prometheus.Collector {
	return newStoreMetrics(measurer, a.deps.Disks)
}

// storeMetrics sends what was measured last. If the stores do not respond, receiver_store_up is 0 and the other metrics of them are absent.
type storeMetrics struct {
	measurer *Measurer
	disks    func() []Disk

	up, events, steps, failures, deferred, unattended, enabled, backlog, backlogBytes, oldest, oldestEvent, rejected, jobs, queue *prometheus.Desc
	bytes, log, checkpoint, free, minimum, inodes                                                                                 *prometheus.Desc
}

func newStoreMetrics(measurer *Measurer, disks func() []Disk) *storeMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &storeMetrics{
		measurer:     measurer,
		disks:        disks,
		up:           describe("receiver_store_up", "1 if the stores responded in time."),
		events:       describe("receiver_events", "Events by state.", "state"),
		steps:        describe("receiver_steps", "Unfinished steps by state.", "handler", "state"),
		failures:     describe("receiver_step_failures", "Steps that are dead or retrying, by reason.", "handler", "reason"),
		deferred:     describe("receiver_steps_deferred", "Steps that are deferred until their target is retried or enabled.", "handler"),
		unattended:   describe("receiver_steps_unattended", "Steps that wait for handlers that are not configured."),
		enabled:      describe("receiver_target_enabled", "1 if the target is enabled, 0 if it is disabled.", "handler"),
		backlog:      describe("receiver_backlog", "Accepted events that are not in the workflow yet."),
		backlogBytes: describe("receiver_backlog_bytes", "Bytes of the bodies of these events, estimated if there are more than 10,000."),
		oldest:       describe("receiver_oldest_pending_seconds", "Age of the oldest event with a pending, running or retrying step; 0 if there is none."),
		oldestEvent:  describe("receiver_oldest_event_seconds", "Age of the oldest event in each state; 0 if there is none.", "state"),
		rejected:     describe("receiver_rejected_total", "Rejected callbacks with a valid token."),
		jobs:         describe("receiver_tracked_jobs", "Tracked jobs by state.", "state"),
		queue:        describe("receiver_queue_jobs", "Jobs of the queue: ready for a worker, running, or scheduled for later.", "handler", "state"),
		bytes:        describe("receiver_store_bytes", "Size of a database without its write-ahead log.", "store"),
		log:          describe("receiver_store_wal_bytes", "Size of the write-ahead log of a database.", "store"),
		checkpoint: describe("receiver_store_last_checkpoint_timestamp_seconds",
			"When the write-ahead log of a database was last written back, in seconds since 1970.", "store"),
		free:    describe("receiver_disk_free_bytes", "Free space of the disk of a folder.", "folder"),
		minimum: describe("receiver_disk_minimum_free_bytes", "Free space below which callbacks are refused.", "folder"),
		inodes:  describe("receiver_disk_free_inodes", "Files that the disk of a folder can still hold.", "folder"),
	}
}

// Describe lists the metrics.
func (m *storeMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.up, m.events, m.steps, m.failures, m.deferred, m.unattended, m.enabled, m.backlog, m.backlogBytes, m.oldest, m.oldestEvent, m.rejected,
		m.jobs, m.queue, m.bytes, m.log, m.checkpoint, m.free, m.minimum, m.inodes,
	} {
		descriptions <- d
	}
}

// gauges sends gauges.
type gauges chan<- prometheus.Metric

func (g gauges) send(d *prometheus.Desc, value float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// Collect sends the metrics. It counts nothing itself.
func (m *storeMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	to := gauges(metrics)
	for _, disk := range m.disks() {
		to.send(m.free, float64(disk.Free), disk.Path)
		to.send(m.minimum, float64(disk.Minimum), disk.Path)
		if disk.Inodes != nil {
			to.send(m.inodes, float64(*disk.Inodes), disk.Path)
		}
	}
	found, ok := m.measurer.latest(ctx)
	if !ok {
		to.send(m.up, 0)
		return
	}
	to.send(m.up, 1)
	m.collectEvents(to, found)
	m.collectSteps(to, found)
	metrics <- prometheus.MustNewConstMetric(m.rejected, prometheus.CounterValue, float64(found.stats.Rejected.Ever))
	for store, usage := range found.databases {
		to.send(m.bytes, float64(usage.Bytes), store)
		if usage.Log >= 0 {
			to.send(m.log, float64(usage.Log), store)
		}
		if !usage.Checkpoint.IsZero() {
			to.send(m.checkpoint, float64(usage.Checkpoint.UnixMilli())/1000, store)
		}
	}
}

func (m *storeMetrics) collectEvents(to gauges, found *measurement) {
	for _, state := range statuses() {
		to.send(m.events, float64(found.stats.Events[state]), string(state))
		if state != event.Done {
			to.send(m.oldestEvent, age(found.oldest[state]), string(state))
		}
	}
	to.send(m.backlog, float64(found.stats.Backlog))
	to.send(m.backlogBytes, float64(found.outboxBytes))
	to.send(m.oldestEvent, age(found.outboxOldest), acceptedState)
	oldest := time.Time{}
	if found.stats.Oldest != nil {
		oldest = *found.stats.Oldest
	}
	to.send(m.oldest, age(oldest))
	for _, state := range []jobs.State{jobs.Submitting, jobs.Waiting, jobs.Arrived, jobs.Reconciled, jobs.Failed, jobs.Expired, jobs.Lost} {
		to.send(m.jobs, float64(found.jobs[state]), string(state))
	}
}

// age returns the seconds since a time, 0 if it is zero.
func age(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, time.Since(since).Seconds())
}

func (m *storeMetrics) collectSteps(to gauges, found *measurement) {
	unattended := 0
	for _, h := range found.stats.Handlers {
		unattended += h.Unattended
		if h.Configured { // former handlers would be an unbounded set of labels
			m.collectHandler(to, h)
			depth := found.queue[h.Name]
			to.send(m.queue, float64(depth.Ready), h.Name, "ready")
			to.send(m.queue, float64(depth.Running), h.Name, "running")
			to.send(m.queue, float64(depth.Scheduled), h.Name, "scheduled")
		}
	}
	to.send(m.unattended, float64(unattended))
}

func (m *storeMetrics) collectHandler(to gauges, h HandlerStats) {
	for state, n := range map[string]int{"pending": h.Pending, "running": h.Running, "retrying": h.Retrying, "dead": h.Dead} {
		to.send(m.steps, float64(n), h.Name, state)
	}
	for reason, n := range h.Reasons {
		to.send(m.failures, float64(n), h.Name, string(reason))
	}
	to.send(m.deferred, float64(h.Deferred), h.Name)
	isEnabled := 0.0
	if h.Enabled {
		isEnabled = 1
	}
	to.send(m.enabled, isEnabled, h.Name)
}

// showMetrics answers GET /metrics.
func (a *Admin) showMetrics(w http.ResponseWriter, r *http.Request) { a.deps.Metrics.ServeHTTP(w, r) }
