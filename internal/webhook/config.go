package webhook

import (
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// minTokenBytes is the length below which a token could be guessed.
const minTokenBytes = 16

// Config bounds what callbacks may cost.
type Config struct {
	MaxBodyBytes  configtypes.Size `envconfig:"MAX_BODY_BYTES" default:"33554432" range:"1KiB..1GiB" desc:"largest body of a callback; inline images may be echoed in it"`
	InFlightBytes configtypes.Size `envconfig:"IN_FLIGHT_BYTES" default:"256MiB" range:"1KiB..64GiB" desc:"memory for the bodies of all callbacks that are being received; beyond it they get 503"`
	AcceptTimeout time.Duration    `envconfig:"ACCEPT_TIMEOUT" default:"10s" range:"100ms..15s" desc:"time that the store has to commit a callback before it gets 503"`
}

// Validate tells what in the configuration does not go together.
func (c Config) Validate() error {
	if c.InFlightBytes < c.MaxBodyBytes {
		return &configtypes.Conflict{Name: "IN_FLIGHT_BYTES", Text: "must be at least MAX_BODY_BYTES, or the largest callback never fits"}
	}
	return nil
}

// checkTokens makes sure that nobody gets in with an empty or guessable token.
func checkTokens(tokens secret.List) error {
	if len(tokens) == 0 {
		return errors.New("webhook: there is no token")
	}
	for i, token := range tokens {
		if len(token.Reveal()) < minTokenBytes {
			return fmt.Errorf("webhook: token %d of %d has fewer than %d characters", i+1, len(tokens), minTokenBytes)
		}
	}
	return nil
}
