package reconcile

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

// Config says how long callbacks are waited for.
type Config struct {
	After   time.Duration `envconfig:"AFTER" default:"2m" range:"1s..24h" desc:"how long after its registration the callback of a job may come before Deep Image is asked about the job; the pauses between further questions grow from this on"`
	Horizon time.Duration `envconfig:"HORIZON" default:"24h" range:"1m..720h" desc:"how long after its registration a job is given up as lost that has no callback, and no result either when Deep Image is asked then"`
}

// Validate tells what does not go together.
func (c Config) Validate() error {
	if c.Horizon < c.After {
		return &configtypes.Conflict{Name: "HORIZON", Text: "must be at least RECONCILE_AFTER"}
	}
	return nil
}

// longestPause bounds the pauses between two questions about a job.
const longestPause = time.Hour
