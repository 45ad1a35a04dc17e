package admin

import "context"

// For tests.
const (
	CollectTimeout = collectTimeout
	MeasureWait    = measureWait
)

// NewTestMeasurer returns a measurer of a store that measures its backlog only.
func NewTestMeasurer(backlog func(context.Context) (int64, error)) *Measurer {
	return newMeasurer(func(ctx context.Context) (*measurement, error) {
		n, err := backlog(ctx)
		return &measurement{stats: Stats{Backlog: n}}, err
	}, nil)
}

// LatestBacklog returns the backlog of the latest measurement.
func (m *Measurer) LatestBacklog(ctx context.Context) (int64, bool) {
	found, ok := m.latest(ctx)
	if !ok {
		return 0, false
	}
	return found.stats.Backlog, true
}
