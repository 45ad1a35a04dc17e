package publish

import (
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Config sets where events are published.
type Config struct {
	URL         secret.Value  `envconfig:"URL" desc:"broker and topic for events: nats://, tls:// (NATS), kafka://, amqp://, amqps://, awssns://, awssqs:// or gcppubsub://"`
	Source      string        `envconfig:"SOURCE" default:"/receiver" desc:"source of the CloudEvents: a URI reference that identifies this receiver"`
	Timeout     time.Duration `envconfig:"TIMEOUT" default:"30s" range:"1s..10m" desc:"timeout of one attempt, from the connection to the acknowledgement"`
	Concurrency int           `envconfig:"CONCURRENCY" default:"16" range:"1..1024" desc:"maximum number of events published at the same time"`
}

// Needs returns the handler whose images are named in the message.
func (c Config) Needs() []string { return []string{handler.Download} }

// Limits returns the bounds of the step.
func (c Config) Limits() handler.Limits {
	return handler.Limits{Concurrency: c.Concurrency, Timeout: c.Timeout}
}

// Validate returns an error for an invalid URL or source. It does not connect.
func (c Config) Validate() error {
	if c.URL.IsZero() {
		return &configtypes.Conflict{Name: "URL", Text: "has to be set when publish is one of the handlers"}
	}
	made, err := open(c.URL)
	if err != nil {
		return &configtypes.Conflict{Name: "URL", Text: err.Error()}
	}
	if err := made.Close(); err != nil {
		return &configtypes.Conflict{Name: "URL", Text: err.Error()}
	}
	if err := checkSource(c.Source); err != nil {
		return &configtypes.Conflict{Name: "SOURCE", Text: err.Error()}
	}
	return nil
}

// checkSource returns an error unless source is a URI reference that is not empty (CloudEvents 1.0.2).
func checkSource(source string) error {
	if _, err := url.Parse(source); err != nil || source == "" || strings.ContainsFunc(source, isNoPartOfURI) {
		return errors.New("is no URI reference such as /receiver or https://hooks.example.com")
	}
	return nil
}

func isNoPartOfURI(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' || strings.ContainsRune("<>\"\\^`{|}", r)
}
