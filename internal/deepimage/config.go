package deepimage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Config configures the client of the API.
type Config struct {
	APIKey           secret.Value  `envconfig:"API_KEY" unset:"callbacks are believed" desc:"key of the Deep Image API; with it callbacks are verified, expired result links renewed and lost callbacks found"`
	URL              string        `envconfig:"URL" default:"https://deep-image.ai/rest_api" desc:"base URL of the Deep Image API; the key is sent to this host only"`
	Timeout          time.Duration `envconfig:"TIMEOUT" default:"15s" range:"1s..2m" desc:"timeout of one lookup or deletion"`
	SubmitTimeout    time.Duration `envconfig:"SUBMIT_TIMEOUT" default:"2m" range:"1s..15m" desc:"timeout of one job submission, including the upload of an inline image"`
	CallsPerSecond   float64       `envconfig:"CALLS_PER_SECOND" default:"10" range:"0.1..1000" desc:"average rate limit of API calls per second"`
	Concurrency      int           `envconfig:"CONCURRENCY" default:"8" range:"1..256" desc:"concurrent lookups, and as many concurrent submissions"`
	CacheTime        time.Duration `envconfig:"CACHE_TIME" default:"1m" range:"1s..1h" desc:"time for which a final job status is cached"`
	PendingCacheTime time.Duration `envconfig:"PENDING_CACHE_TIME" default:"2s" range:"100ms..1m" desc:"time for which the status of a pending or unknown job is cached; at most CACHE_TIME"`
	UnknownPerMinute int           `envconfig:"UNKNOWN_PER_MINUTE" default:"10" range:"1..10000" desc:"lookups of unknown jobs per minute that callbacks from one client IP may cause"`
	UnknownGrace     time.Duration `envconfig:"UNKNOWN_GRACE" default:"2m" range:"1s..1h" desc:"time after a callback in which its job may still be unknown to Deep Image and is looked up again, before the event is quarantined"`
}

// MaxRequestBytes bounds a submission (documented). The vendor repeats the request in the callback.
const MaxRequestBytes = 32 << 20

const (
	minKeyBytes      = 8 // real ones have 36; a shorter one could occur in any text, and is redacted there
	maxKeyBytes      = 512
	maxJobBytes      = 256      // of a job's id, as in a callback
	maxResponseBytes = 64 << 10 // the documented responses have a few hundred
	maxURLBytes      = 8 << 10  // of a result's URL
)

// Enabled reports whether there is a key. Without a key the API answers nothing.
func (c Config) Enabled() bool { return !c.APIKey.IsZero() }

// withDefaults returns the configuration with the default for every zero field.
func (c Config) withDefaults() (Config, error) {
	keepsPending := c.PendingCacheTime != 0
	err := configtypes.FillDefaults(&c)
	if !keepsPending {
		c.PendingCacheTime = min(c.PendingCacheTime, c.CacheTime)
	}
	return c, err
}

// Validate returns what is wrong beyond the ranges of single fields.
func (c Config) Validate() error {
	if err := checkKey(c.APIKey.Reveal()); err != nil {
		return &configtypes.Conflict{Name: "API_KEY", Text: err.Error()}
	}
	if _, err := parseBase(c.URL); err != nil {
		return &configtypes.Conflict{Name: "URL", Text: err.Error()}
	}
	if c.PendingCacheTime > c.CacheTime {
		return &configtypes.Conflict{Name: "PENDING_CACHE_TIME", Text: "must not be more than CACHE_TIME"}
	}
	return nil
}

// checkKey returns what is wrong with a key. An empty one is accepted.
func checkKey(key string) error {
	switch {
	case key == "":
		return nil
	case len(key) < minKeyBytes || len(key) > maxKeyBytes:
		return fmt.Errorf("has %d characters; a key has %d to %d", len(key), minKeyBytes, maxKeyBytes)
	case !sanitize.IsPlainASCII(key):
		return errors.New("contains white space or a character that is not plain ASCII")
	default:
		return nil
	}
}

// parseBase parses the base URL. The error continues a sentence that begins with the variable's name, and never
// repeats the URL, which may hold a password.
func parseBase(text string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil || base.Host == "" || base.Opaque != "":
		return nil, errors.New("must be a whole URL such as https://deep-image.ai/rest_api")
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("must be a URL without user, query and fragment")
	case base.Scheme == "https" || base.Scheme == "http" && configtypes.IsLoopback(base.Hostname()):
		return base, nil
	default:
		return nil, errors.New("must begin with https://, because the key is sent with every call; http:// is allowed for loopback only")
	}
}
