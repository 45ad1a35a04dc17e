package forward

import (
	"fmt"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// What is sent to a target.
const (
	ModeEvent = "event" // the JSON document
	ModeImage = "image" // a form: the document and the images
	ModeRaw   = "raw"   // the one image, with what is told of it in a header
)

// Config says where events go and how.
type Config struct {
	URLs            secret.List      `envconfig:"URLS" desc:"where events are sent; each address is a step of its own with its own queue and circuit, and may have a name in front of it, as in crm=https://crm.example.com/hook"`
	Mode            string           `envconfig:"MODE" default:"event" range:"event|image|raw" desc:"what is sent: event is a JSON document, image a form (multipart/form-data) with the document and the images, raw the single image with the document in a header"`
	Secrets         secret.List      `envconfig:"SECRETS" unset:"calls are not signed" desc:"whsec_ secrets that calls are signed with (Standard Webhooks); every one signs, for rotation"`
	Headers         secret.List      `envconfig:"HEADERS" desc:"headers that every call carries, each written as Name: value; a value cannot hold a comma"`
	BearerToken     secret.Value     `envconfig:"BEARER_TOKEN" desc:"token that every call carries as Authorization: Bearer"`
	AllowHTTP       bool             `envconfig:"ALLOW_HTTP" default:"false" desc:"send over plain http also to other addresses than private ones"`
	Timeout         time.Duration    `envconfig:"TIMEOUT" default:"30s" range:"1s..10m" desc:"time that a target has to answer, and to take each piece of an image; a call with images may take half an hour in all"`
	Concurrency     int              `envconfig:"CONCURRENCY" default:"8" range:"1..256" desc:"calls to each target at the same time, by each replica"`
	Rate            int              `envconfig:"RATE" default:"100" range:"1..10000" desc:"calls to each target in a second, by each replica"`
	CircuitFailures int              `envconfig:"CIRCUIT_FAILURES" default:"5" range:"1..1000" desc:"failed calls in a row after which a target is left alone; what is to be sent to it waits and uses up no attempts"`
	CircuitPause    time.Duration    `envconfig:"CIRCUIT_PAUSE" default:"30s" range:"1s..1h" desc:"time after which one call tries whether the target is back"`
	MaxBytes        configtypes.Size `envconfig:"MAX_BYTES" default:"1GiB" range:"1KiB..64GiB" desc:"largest image that is fetched to be sent, when download has not stored it before"`
	MaxPixels       int64            `envconfig:"MAX_PIXELS" default:"500000000" range:"1..1000000000000" desc:"most pixels (width times height) that such an image may have"`
}

// transferTime is the longest attempt that carries images: their way from where they are included.
const transferTime = 30 * time.Minute

// KeepsImages is so where the targets get the images and not only their addresses.
func (c Config) KeepsImages() bool { return c.Mode != ModeEvent }

// Limits are the bounds for each target. A call that waits for its turn in the rate does not
// do so in the time that the target has to answer.
func (c Config) Limits() handler.Limits {
	limits := handler.Limits{Concurrency: c.Concurrency, Timeout: c.Timeout + c.longestTurn()}
	if c.Mode != ModeEvent {
		limits.Timeout = transferTime + c.longestTurn()
	}
	return limits
}

// longestTurn is how long the last of all calls that may be under way waits for its turn, and a margin.
func (c Config) longestTurn() time.Duration {
	const margin = 5 * time.Second
	return time.Duration(c.Concurrency)*time.Second/time.Duration(max(c.Rate, 1)) + margin
}

// Steps are one for each target.
func (c Config) Steps() []handler.Step {
	targets, err := c.targets()
	if err != nil {
		return nil // Validate has told of it
	}
	steps := make([]handler.Step, len(targets))
	for i, t := range targets {
		steps[i] = handler.Step{Name: t.step, Limits: c.Limits()}
	}
	return steps
}

// Validate tells what no single tag can say.
func (c Config) Validate() error {
	if _, err := c.targets(); err != nil {
		return &configtypes.Conflict{Name: "URLS", Text: err.Error()}
	}
	if _, err := newSigner(c.Secrets); err != nil {
		return &configtypes.Conflict{Name: "SECRETS", Text: err.Error()}
	}
	if _, err := c.headers(); err != nil {
		return &configtypes.Conflict{Name: "HEADERS", Text: err.Error()}
	}
	if !isHeaderValue(c.BearerToken.Reveal()) || strings.Contains(c.BearerToken.Reveal(), " ") {
		return &configtypes.Conflict{Name: "BEARER_TOKEN", Text: "holds a space or another character that no header can carry"}
	}
	return nil
}

// maxTargets bounds the queues and connections.
const maxTargets = 32

// targets reads the addresses. The error goes on from the variable's name and shows no address.
func (c Config) targets() ([]target, error) {
	switch {
	case len(c.URLs) == 0:
		return nil, fmt.Errorf("must name at least one address, such as https://example.com/hook, when the handler %s is enabled", Name)
	case len(c.URLs) > maxTargets:
		return nil, fmt.Errorf("has %d addresses, and may have at most %d", len(c.URLs), maxTargets)
	}
	targets := make([]target, 0, len(c.URLs))
	for i, item := range c.URLs {
		made, err := parseTarget(item.Reveal(), c.AllowHTTP)
		if err != nil {
			return nil, fmt.Errorf("has an address, number %d, that %w", i+1, err)
		}
		for j, other := range targets {
			if err := made.differs(other); err != nil {
				return nil, fmt.Errorf("has two addresses, numbers %d and %d, that %w", j+1, i+1, err)
			}
		}
		targets = append(targets, made)
	}
	return targets, nil
}
