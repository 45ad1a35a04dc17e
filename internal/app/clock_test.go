package app_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/rs/zerolog"
)

// F12: a running receiver notices that the clock of the database went back. A step whose next attempt was due in an
// hour has no distant one after six.
func TestClockJumpsWhileTheReceiverRuns(t *testing.T) {
	t.Parallel()
	var content bytes.Buffer
	if err := png.Encode(&content, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		var requests atomic.Int64
		host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if requests.Add(1) == 1 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = w.Write(content.Bytes())
		}))
		t.Cleanup(host.Close)
		c, client := configuration(t, place), newClient(t)
		c.Retry.MinDelay, c.Retry.MaxDelay = time.Hour, time.Hour
		r := start(t, c)
		id := post(t, client, r.webhook(), fmt.Appendf(nil, `{"job":"jump","result_url":"%s/a.png"}`, host.URL)).ID
		r.reaches(t, id, event.Retrying)
		if err := r.ClockWentBack(t.Context(), 6*time.Hour); err != nil {
			t.Fatal(err)
		}
		r.reaches(t, id, event.Done)
		// The step may have run before the jump was noticed.
		metrics := func() (string, error) { return r.metrics(t, client), nil }
		testkit.WaitFor(t, "one jump in the metrics", metrics, func(text string) bool {
			return strings.Contains(text, "\nreceiver_clock_jumps_total 1\n")
		})
		load := func() ([]map[string]any, error) { return r.log.Records(t, "message", "clock jumped"), nil }
		testkit.WaitFor(t, "one warning of a jump that was corrected", load, func(lines []map[string]any) bool {
			return len(lines) == 1 && lines[0]["level"] == "warn" && lines[0]["corrected"] == true
		})
	})
}

// F6: a clock of this machine that stays apart from that of the database is a warning, once in an hour and anew after they agreed.
func TestSkewWarnings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		log, db := &testkit.Log{}, place.Open(t).Work
		warn := app.SkewWarnings(db, zerolog.New(log))
		for _, row := range []struct {
			behind time.Duration // by which the clock of the database is
			want   int           // warnings so far
		}{{0, 0}, {20 * time.Second, 1}, {20 * time.Second, 1}, {0, 1}, {-20 * time.Second, 2}} {
			reading, err := db.ReadClock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			db.AdoptClock(reading.Shifted(-row.behind))
			warn()
			lines := log.Records(t, "message", "clock of this machine differs from that of the database")
			if len(lines) != row.want {
				t.Errorf("warnings with the database %s behind = %v, want %d", row.behind, lines, row.want)
			}
		}
	})
}
