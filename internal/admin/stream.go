package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/rs/zerolog"
)

const (
	markEvery   = time.Second      // how often it is looked whether anything changed, while somebody listens
	markTimeout = 5 * time.Second  // of one look
	beatEvery   = 15 * time.Second // so that proxies keep a stream open, and dead clients are noticed
	maxStreams  = 64
)

// streams tell those who listen that something changed. Who looks for that is the first who
// listens, and nobody while nobody listens.
type streams struct {
	mark func(context.Context) (Mark, error)
	lags func(changed time.Time) bool // counts that were shown are older than a change
	log  zerolog.Logger

	mutex     sync.Mutex
	listeners map[chan Mark]struct{}
	latest    *Mark              // nil while nobody looks
	changed   time.Time          // when that was new; zero as soon as everybody has seen all of it
	cancel    context.CancelFunc // ends the looking
}

func newStreams(mark func(context.Context) (Mark, error), lags func(time.Time) bool, log zerolog.Logger) *streams {
	return &streams{mark: mark, lags: lags, log: log, listeners: map[chan Mark]struct{}{}}
}

// join begins to listen. The channel gives the latest mark; leave ends it, and waits for nothing.
func (s *streams) join() (marks chan Mark, leave func(), ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.listeners) >= maxStreams {
		return nil, nil, false
	}
	marks = make(chan Mark, 1)
	s.listeners[marks] = struct{}{}
	if s.latest != nil {
		marks <- *s.latest // what changed while the page was made
	}
	if s.cancel == nil {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(context.Background())
		go s.loop().Run(ctx)
	}
	return marks, func() { s.leave(marks) }, true
}

func (s *streams) leave(marks chan Mark) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.listeners, marks)
	if len(s.listeners) == 0 {
		s.cancel()
		s.cancel, s.latest = nil, nil
	}
}

// loop returns the loop that checks for changes while there are listeners.
func (s *streams) loop() background.Loop {
	return background.Loop{
		Pass: background.Every(markEvery, func(ctx context.Context) error {
			limited, cancel := context.WithTimeout(ctx, markTimeout)
			defer cancel()
			mark, err := s.mark(limited)
			if err == nil {
				s.tell(ctx, mark)
			}
			return err
		}),
		Failed: func(err error) { s.log.Warn().Err(err).Msg("change check failed, will retry") },
	}
}

// tell passes a mark on if it is a new one, and if whoever looked is not called off. Counts are remembered for a while, so a
// page that asked for them at once may show old ones: when they can be had anew it is told once more.
func (s *streams) tell(ctx context.Context, mark Mark) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch isNew := s.latest == nil || !reflect.DeepEqual(*s.latest, mark); {
	case ctx.Err() != nil:
		return
	case isNew:
		s.latest, s.changed = &mark, time.Now()
	case !s.changed.IsZero() && s.lags(s.changed):
		s.changed = time.Time{}
	default:
		return
	}
	for listener := range s.listeners {
		select {
		case <-listener: // what nobody has taken is out of date
		default:
		}
		listener <- mark
	}
}

// stream answers GET /api/v1/stream with server-sent events, one named "change" whenever anything
// changed, until the client has enough.
func (a *Admin) stream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	marks, leave, ok := a.streams.join()
	if !ok {
		problem.Write(w, r, problem.Unavailable("Too many listen already.", nil))
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep it back
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	if err := send(w, "retry: 2000\n\n"); err != nil {
		return
	}
	for {
		var sent error
		select {
		case <-r.Context().Done():
			return
		case <-a.ending:
			return
		case mark := <-marks:
			text, err := json.Marshal(mark)
			if err != nil {
				return
			}
			sent = send(w, fmt.Sprintf("event: change\ndata: %s\n\n", text))
		case <-beat.C:
			if !a.isStillIn(r) {
				return
			}
			sent = send(w, ": still here\n\n")
		}
		if sent != nil {
			return
		}
	}
}

// send writes a part of a stream at once.
func send(w http.ResponseWriter, text string) error {
	connection := http.NewResponseController(w)
	extendDeadline(connection, beatEvery)
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return connection.Flush()
}
