package webhook

import (
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// minTokenBytes is the length of the shortest token.
const minTokenBytes = 16

// Config holds the limits of callbacks.
type Config struct {
	MaxBodyBytes  configtypes.Size `envconfig:"MAX_BODY_BYTES" default:"33554432" range:"1KiB..1GiB" desc:"largest body of a callback; it may contain inline images"`
	InFlightBytes configtypes.Size `envconfig:"IN_FLIGHT_BYTES" default:"256MiB" range:"1KiB..64GiB" desc:"memory budget for bodies and their copies: an eighth for small callbacks, half for others, the rest for stored events; a source gets three quarters of a part; callbacks wait ACCEPT_TIMEOUT for it, then get 503; at most two fifths of GOMEMLIMIT or of what the control group allows"`
	AcceptTimeout time.Duration    `envconfig:"ACCEPT_TIMEOUT" default:"10s" range:"100ms..15s" desc:"deadline of the commit of a callback, and of a wait for memory; beyond it the callback gets 503"`
}

// Validate returns a *configtypes.Conflict if two values contradict each other.
func (c Config) Validate() error {
	if c.InFlightBytes < c.MaxBodyBytes {
		return &configtypes.Conflict{Name: "IN_FLIGHT_BYTES", Text: "must be at least MAX_BODY_BYTES, or the largest callback never fits"}
	}
	return nil
}

// checkTokens returns an error if there is no token or one is too short.
func checkTokens(tokens secret.List) error {
	if len(tokens) == 0 {
		return errors.New("webhook: no token")
	}
	for i, token := range tokens {
		if len(token.Reveal()) < minTokenBytes {
			return fmt.Errorf("webhook: token %d of %d has fewer than %d characters", i+1, len(tokens), minTokenBytes)
		}
	}
	return nil
}
