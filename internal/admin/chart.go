package admin

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// chart is a column for each span of time, stacked by the state that its events have now. Lengths are in
// units of the drawing.
type chart struct {
	Width, Height int
	Columns       []column
	Most          int64 // events of the highest column
	Total         int64
	From, To      time.Time
}

type column struct {
	X, Width int
	Start    time.Time
	Total    int64
	Parts    []part // from the bottom
}

type part struct {
	Status    event.Status
	Events    int64
	Y, Height float64
}

const (
	columnWidth = 12
	columnGap   = 3
	chartHeight = 96
	leastHeight = 2 // of a part, so that one dead event among thousands is seen
)

// stacked lists states as they stand on each other: what needs a person on top.
func stacked() []event.Status {
	return []event.Status{event.Done, event.Pending, event.Running, event.Retrying, event.Quarantined, event.Dead}
}

// draw makes the chart of the rates in the statistics.
func draw(stats Stats, over time.Duration) chart {
	bucket := time.Duration(stats.Bucket * float64(time.Second))
	if bucket <= 0 {
		return chart{}
	}
	counts := map[int64]Bucket{}
	c := chart{Height: chartHeight, To: stats.Taken}
	for _, b := range stats.Rates {
		counts[b.Start.Unix()] = b
		c.Most = max(c.Most, total(b))
	}
	columns := int(over / bucket)
	c.From = stats.Taken.Truncate(bucket).Add(-time.Duration(columns-1) * bucket)
	for n := range columns {
		start := c.From.Add(time.Duration(n) * bucket)
		one := stack(counts[start.Unix()], c.Most)
		one.X, one.Width, one.Start = n*(columnWidth+columnGap), columnWidth, start
		c.Total += one.Total
		c.Columns = append(c.Columns, one)
	}
	c.Width = columns*(columnWidth+columnGap) - columnGap
	return c
}

func total(b Bucket) (sum int64) {
	for _, n := range b.Events {
		sum += n
	}
	return sum
}

func stack(b Bucket, most int64) column {
	c := column{Total: total(b)}
	top := float64(chartHeight)
	for _, status := range stacked() {
		n := b.Events[status]
		if n == 0 {
			continue
		}
		height := max(leastHeight, float64(chartHeight-2*leastHeight)*float64(n)/float64(most))
		top = max(0, top-height)
		c.Parts = append(c.Parts, part{Status: status, Events: n, Y: top, Height: height})
	}
	return c
}
