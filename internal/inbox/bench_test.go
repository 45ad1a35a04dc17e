package inbox_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

// BenchmarkAccept has 64 callers wait for their commits at the same time.
func BenchmarkAccept(b *testing.B) {
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		b.Run(kind.String(), func(b *testing.B) { benchmarkAccept(b, databasetest.NewPlace(b, kind)) })
	}
}

func benchmarkAccept(b *testing.B, place *databasetest.Place) {
	s := open(b, place, defaults())
	var n atomic.Int64
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Accept(context.Background(), sample(fmt.Sprint("job-", n.Add(1)), "https://a/1.png")); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
