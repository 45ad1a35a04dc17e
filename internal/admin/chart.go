package admin

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// chart has a column for each bucket, stacked by the current state of its events. Lengths are in units of the drawing.
type chart struct {
	Width, Height int
	Columns       []column
	Most          int64 // events in the highest column
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
	leastHeight = 2 // of a part, so that one dead event among thousands is visible
)

// tile has the number of events in one state, and a small chart of those of the last day.
type tile struct {
	Status event.Status
	Events int64
	Width  int
	Bars   []bar
}

type bar struct {
	X         int
	Y, Height float64
}

const (
	barWidth   = 4
	barGap     = 1
	tileHeight = 24
)

// newTiles returns a tile for each state, each with a scale of its own.
func newTiles(stats Stats, chart chart) (list []tile) {
	for _, status := range statuses() {
		one := tile{Status: status, Events: stats.Events[status], Width: len(chart.Columns)*(barWidth+barGap) - barGap}
		most := int64(0)
		for _, c := range chart.Columns {
			most = max(most, c.events(status))
		}
		for n, c := range chart.Columns {
			if events := c.events(status); events > 0 {
				height := max(leastHeight, float64(tileHeight)*float64(events)/float64(most))
				one.Bars = append(one.Bars, bar{X: n * (barWidth + barGap), Y: tileHeight - height, Height: height})
			}
		}
		list = append(list, one)
	}
	return list
}

// events is how many events of a column are in a state.
func (c column) events(status event.Status) int64 {
	for _, p := range c.Parts {
		if p.Status == status {
			return p.Events
		}
	}
	return 0
}

// stacked are the states from the bottom of a column to its top.
func stacked() []event.Status {
	return []event.Status{event.Done, event.Pending, event.Running, event.Retrying, event.Quarantined, event.Dead}
}

// newChart returns the chart of the rates in the statistics, over a period until now.
func newChart(stats Stats, over time.Duration) chart {
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
