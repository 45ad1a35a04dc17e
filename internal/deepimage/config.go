package deepimage

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Config says how the API is talked to.
type Config struct {
	APIKey           secret.Value  `envconfig:"API_KEY" unset:"callbacks are believed" desc:"key of the Deep Image API; with it callbacks are verified, expired addresses renewed and lost callbacks found"`
	URL              string        `envconfig:"URL" default:"https://deep-image.ai/rest_api" desc:"base address of the Deep Image API, the only one that gets the key"`
	Timeout          time.Duration `envconfig:"TIMEOUT" default:"15s" range:"1s..2m" desc:"time that one look-up or deletion has"`
	SubmitTimeout    time.Duration `envconfig:"SUBMIT_TIMEOUT" default:"2m" range:"1s..15m" desc:"time that the submission of one job has, its inline image included"`
	CallsPerSecond   float64       `envconfig:"CALLS_PER_SECOND" default:"10" range:"0.1..1000" desc:"calls of the API in a second, on average"`
	Concurrency      int           `envconfig:"CONCURRENCY" default:"8" range:"1..256" desc:"look-ups at the same time, and as many submissions"`
	CacheTime        time.Duration `envconfig:"CACHE_TIME" default:"1m" range:"1s..1h" desc:"how long a final answer about a job is remembered"`
	PendingCacheTime time.Duration `envconfig:"PENDING_CACHE_TIME" default:"2s" range:"100ms..1m" desc:"how long it is remembered that a job is not ready; not more than CACHE_TIME"`
	UnknownPerMinute int           `envconfig:"UNKNOWN_PER_MINUTE" default:"10" range:"1..10000" desc:"jobs unknown to the API that callbacks from one address may ask for in a minute; beyond it the address waits"`
}

// The values of the default tags, for a Config that was not read from the environment.
const (
	defaultURL              = "https://deep-image.ai/rest_api" // documented
	defaultTimeout          = 15 * time.Second
	defaultSubmitTimeout    = 2 * time.Minute
	defaultCallsPerSecond   = 10
	defaultConcurrency      = 8
	defaultCacheTime        = time.Minute
	defaultPendingCacheTime = 2 * time.Second
	defaultUnknownPerMinute = 10
)

// MaxRequestBytes is the length of the longest submission (documented); the vendor echoes it in the callback.
const MaxRequestBytes = 32 << 20

const (
	minKeyBytes    = 8 // real ones have 36; a shorter one could be part of any text, out of which it is taken
	maxKeyBytes    = 512
	maxJobBytes    = 256              // of a job's id, as in a callback
	maxAnswerBytes = 64 << 10         // of an answer; the documented ones have a few hundred
	maxURLBytes    = 8 << 10          // of a result's address
	maxWait        = 10 * time.Second // for a free slot, and again for the turn
)

// Enabled says whether there is a key, without which the API answers nothing.
func (c Config) Enabled() bool { return !c.APIKey.IsZero() }

func (c Config) withDefaults() Config {
	c.URL = cmp.Or(c.URL, defaultURL)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.SubmitTimeout = cmp.Or(c.SubmitTimeout, defaultSubmitTimeout)
	c.CallsPerSecond = cmp.Or(c.CallsPerSecond, defaultCallsPerSecond)
	c.Concurrency = cmp.Or(c.Concurrency, defaultConcurrency)
	c.CacheTime = cmp.Or(c.CacheTime, defaultCacheTime)
	c.PendingCacheTime = cmp.Or(c.PendingCacheTime, min(defaultPendingCacheTime, c.CacheTime))
	c.UnknownPerMinute = cmp.Or(c.UnknownPerMinute, defaultUnknownPerMinute)
	return c
}

// Validate says what no single tag can.
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

// checkKey refuses what cannot be a key, and a header; that there is none is no fault here.
func checkKey(key string) error {
	isInvisible := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case key == "":
		return nil
	case len(key) < minKeyBytes || len(key) > maxKeyBytes:
		return fmt.Errorf("has %d characters; a key has %d to %d", len(key), minKeyBytes, maxKeyBytes)
	case strings.ContainsFunc(key, isInvisible):
		return errors.New("holds a space or a character that is not plain ASCII")
	default:
		return nil
	}
}

// parseBase reads the base address. The error goes on from its name to a sentence; it never
// repeats the address, which may have a password in it.
func parseBase(text string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil || base.Host == "" || base.Opaque != "":
		return nil, errors.New("must be a whole URL such as " + defaultURL)
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("must be an address alone, without user, query and fragment")
	case base.Scheme == "https" || base.Scheme == "http" && configtypes.IsLoopback(base.Hostname()):
		return base, nil
	default:
		return nil, errors.New("must begin with https://, because the key travels there with every call; http:// is for loopback only")
	}
}
