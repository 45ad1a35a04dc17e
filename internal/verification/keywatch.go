package verification

import (
	"context"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/rs/zerolog"
)

const (
	// keyInterval is the pause between two looks whether the API refused the key.
	keyInterval = time.Second
	// keyCheckInterval is the pause between two calls that ask whether the API still refuses the key.
	keyCheckInterval = time.Minute
	// keyWarningInterval is the pause between two warnings while it does.
	keyWarningInterval = time.Hour
)

// Key is what a KeyWatch needs of the vendor's API; *deepimage.Client implements it.
type Key interface {
	KeyRefused() (since time.Time, text string)
	Check(ctx context.Context) error
}

// KeyWatch warns while the vendor's API refuses the key: at once, and then every hour. It asks the API once at the start, and every
// minute while the key is refused, so that the warnings end by themselves.
type KeyWatch struct {
	*background.Service

	key             Key
	log             zerolog.Logger
	checked, warned time.Time // zero: not yet; warned also while the key is accepted
}

// NewKeyWatch returns a KeyWatch that is not started.
func NewKeyWatch(key Key, log zerolog.Logger) *KeyWatch {
	w := &KeyWatch{key: key, log: log}
	w.Service = background.New("verification", background.Loop{Pass: background.Every(keyInterval, w.look)})
	return w
}

// look asks the API if it is time to, and logs what has changed.
func (w *KeyWatch) look(ctx context.Context) error {
	since, _ := w.key.KeyRefused()
	if w.checked.IsZero() || !since.IsZero() && time.Since(w.checked) >= keyCheckInterval {
		w.checked = time.Now()
		_ = w.key.Check(ctx) // KeyRefused has what it shows about the key
	}
	since, text := w.key.KeyRefused()
	switch {
	case since.IsZero() && !w.warned.IsZero():
		w.warned = time.Time{}
		w.log.Info().Msg("api key accepted again")
	case !since.IsZero() && (w.warned.IsZero() || time.Since(w.warned) >= keyWarningInterval):
		w.warned = time.Now()
		w.log.Warn().Str("reason", "auth").Time("since", since).Str("detail", text).Msg("api key refused, no callback is verified")
	}
	return nil
}
