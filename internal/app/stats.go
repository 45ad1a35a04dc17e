package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"golang.org/x/sys/unix"
)

// What the overview shows of the past.
const (
	ratesOver  = 24 * time.Hour
	rateBucket = 30 * time.Minute
)

// Stats counts what the overview shows.
func (b *backOffice) Stats(ctx context.Context) (admin.Stats, error) {
	now := time.Now().UTC()
	stats := admin.Stats{Taken: now, Backlog: b.app.inbox.Backlog(), Bucket: rateBucket.Seconds(), Disks: b.app.disk.usage()}
	var err error
	if stats.Events, err = b.app.work.History.Counts(ctx); err != nil {
		return stats, err
	}
	if stats.Handlers, err = b.handlers(ctx); err != nil {
		return stats, err
	}
	oldest, err := b.app.work.History.Oldest(ctx)
	if err != nil {
		return stats, err
	}
	if stats.Oldest = optional(oldest); stats.Oldest != nil {
		stats.Age = max(0, now.Sub(oldest).Seconds())
	}
	rejected, err := b.app.inbox.Stats(ctx)
	if err != nil {
		return stats, err
	}
	stats.Rejected = admin.RejectedStats{Ever: rejected.RejectedEver, Kept: rejected.RejectedKept, Bytes: rejected.RejectedBytes}
	since := now.Truncate(rateBucket).Add(rateBucket - ratesOver)
	rates, err := b.app.work.History.Rates(ctx, since, rateBucket)
	stats.Rates = []admin.Bucket{}
	for _, start := range slices.SortedFunc(maps.Keys(rates), time.Time.Compare) {
		stats.Rates = append(stats.Rates, admin.Bucket{Start: start, Events: rates[start]})
	}
	return stats, err
}

// handlers counts by the names of the steps.
func (b *backOffice) handlers(ctx context.Context) ([]admin.HandlerStats, error) {
	tallies, err := b.app.work.History.StepCounts(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := b.Targets(ctx)
	if err != nil {
		return nil, err
	}
	configured := b.app.stepNames()
	names := slices.Clone(configured)
	known := map[string]admin.Target{}
	for _, target := range targets {
		known[target.Name] = target
		if !slices.Contains(names, target.Name) {
			names = append(names, target.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	list := make([]admin.HandlerStats, 0, len(names))
	for _, name := range names {
		one := admin.HandlerStats{Name: name, Configured: slices.Contains(configured, name), Enabled: true, Reasons: map[event.Reason]int{}}
		if t, ok := known[name]; ok {
			one.Enabled, one.Disabled, one.Next, one.Reason, one.Detail = t.Enabled, t.Disabled, t.Next, t.Reason, t.Detail
		}
		if t := tallies[name]; t != nil {
			one.Pending, one.Running, one.Retrying, one.Dead, one.Deferred, one.Reasons = t.Pending, t.Running, t.Retrying, t.Dead, t.Deferred, t.Reasons
		}
		list = append(list, one)
	}
	return list, nil
}

// usage says how full the disks are.
func (d *disk) usage() []admin.Disk {
	list := []admin.Disk{}
	for _, path := range d.paths {
		var stat unix.Statfs_t
		if err := unix.Statfs(path, &stat); err == nil {
			list = append(list, admin.Disk{
				Path: path, Free: stat.Bavail * uint64(stat.Bsize), Total: stat.Blocks * uint64(stat.Bsize), Minimum: d.minFree,
			})
		}
	}
	return list
}
