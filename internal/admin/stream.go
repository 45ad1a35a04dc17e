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
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/rs/zerolog"
)

const (
	pollInterval      = time.Second     // between two change tokens, while there are streams
	pollTimeout       = 5 * time.Second // of one change token
	keepAliveInterval = 15 * time.Second
	maxStreams        = 64
)

// changeToken differs after every change that a page shows.
type changeToken struct {
	history.ChangeToken
	Rejected int64 `json:"rejected"` // callbacks, ever
}

func (a *Admin) changeToken(ctx context.Context) (token changeToken, err error) {
	if token.ChangeToken, err = a.deps.History.ChangeToken(ctx); err == nil {
		token.Rejected, err = a.deps.Inbox.Rejected(ctx)
	}
	return token, err
}

// streams notify clients of changes. One goroutine polls the change token for all of them, while there are any.
type streams struct {
	token   func(context.Context) (changeToken, error)
	isStale func(changed time.Time) bool // statistics were served that are older than the change
	log     zerolog.Logger

	mutex   sync.Mutex
	clients map[chan changeToken]struct{}
	latest  *changeToken       // nil while nothing polls
	changed time.Time          // of latest; zero after the statistics have caught up with it
	cancel  context.CancelFunc // ends the polling
}

func newStreams(token func(context.Context) (changeToken, error), isStale func(time.Time) bool, log zerolog.Logger) *streams {
	return &streams{token: token, isStale: isStale, log: log, clients: map[chan changeToken]struct{}{}}
}

// join adds a client. The channel gets the latest token; leave removes the client without blocking. ok is false if there are too many.
func (s *streams) join() (tokens chan changeToken, leave func(), ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.clients) >= maxStreams {
		return nil, nil, false
	}
	tokens = make(chan changeToken, 1)
	s.clients[tokens] = struct{}{}
	if s.latest != nil {
		tokens <- *s.latest // for changes since the page was made
	}
	if s.cancel == nil {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(context.Background())
		go s.loop().Run(ctx)
	}
	return tokens, func() { s.leave(tokens) }, true
}

func (s *streams) leave(tokens chan changeToken) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.clients, tokens)
	if len(s.clients) == 0 {
		s.cancel()
		s.cancel, s.latest = nil, nil
	}
}

// loop returns the loop that checks for changes while there are clients.
func (s *streams) loop() background.Loop {
	return background.Loop{
		Pass: background.Every(pollInterval, func(ctx context.Context) error {
			limited, cancel := context.WithTimeout(ctx, pollTimeout)
			defer cancel()
			token, err := s.token(limited)
			if err == nil {
				s.notify(ctx, token)
			}
			return err
		}),
		Failed: func(err error) { s.log.Warn().Err(err).Msg("change check failed, will retry") },
	}
}

// notify sends a new token to the clients. Statistics are cached, so a page may have shown old ones after a change: the
// same token is sent once more when they have expired.
func (s *streams) notify(ctx context.Context, token changeToken) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch isNew := s.latest == nil || !reflect.DeepEqual(*s.latest, token); {
	case ctx.Err() != nil:
		return
	case isNew:
		s.latest, s.changed = &token, time.Now()
	case !s.changed.IsZero() && s.isStale(s.changed):
		s.changed = time.Time{}
	default:
		return
	}
	for client := range s.clients {
		select {
		case <-client: // an older token that was not received
		default:
		}
		client <- token
	}
}

// stream answers GET /api/v1/stream with server-sent events, one named "change" after each change, until the client disconnects.
func (a *Admin) stream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	tokens, leave, ok := a.streams.join()
	if !ok {
		problem.Write(w, r, problem.Unavailable("Too many streams are open. Try again later.", nil))
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	keepAlive := time.NewTicker(keepAliveInterval)
	defer keepAlive.Stop()
	err := send(w, "retry: 2000\n\n")
	for err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-a.ending:
			return
		case token := <-tokens:
			var text []byte
			if text, err = json.Marshal(token); err == nil {
				err = send(w, fmt.Sprintf("event: change\ndata: %s\n\n", text))
			}
		case <-keepAlive.C:
			if !a.isStillAuthenticated(r) {
				return
			}
			err = send(w, ": keep-alive\n\n")
		}
	}
}

// send writes a part of a stream and flushes it.
func send(w http.ResponseWriter, text string) error {
	connection := http.NewResponseController(w)
	extendDeadline(connection, keepAliveInterval)
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return connection.Flush()
}
