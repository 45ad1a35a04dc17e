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

// Config says where events are published, and under which name.
type Config struct {
	URL         secret.Value  `envconfig:"URL" desc:"broker, and topic in it, that events are published to: nats://, tls:// (NATS), kafka://, amqp://, amqps://, awssns://, awssqs:// or gcppubsub://"`
	Source      string        `envconfig:"SOURCE" default:"/receiver" desc:"source that the CloudEvents name: a URI reference that tells this receiver from others"`
	Timeout     time.Duration `envconfig:"TIMEOUT" default:"30s" range:"1s..10m" desc:"longest attempt, from the connection to the acknowledgement"`
	Concurrency int           `envconfig:"CONCURRENCY" default:"16" range:"1..1024" desc:"events that are published at the same time"`
}

// Limits are the bounds the pipeline keeps for the handler.
func (c Config) Limits() handler.Limits {
	return handler.Limits{Concurrency: c.Concurrency, Timeout: c.Timeout}
}

// Validate says what of the address and the source cannot be meant. It connects to nothing.
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

// checkSource demands a URI reference that is not empty, as CloudEvents 1.0.2 does.
func checkSource(source string) error {
	if _, err := url.Parse(source); err != nil || source == "" || strings.ContainsFunc(source, isNoPartOfURI) {
		return errors.New("is no URI reference such as /receiver or https://hooks.example.com")
	}
	return nil
}

func isNoPartOfURI(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' || strings.ContainsRune("<>\"\\^`{|}", r)
}
