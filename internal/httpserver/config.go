package httpserver

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

// Config holds the address, the trusted networks, the deadlines and the limits of the public listener.
type Config struct {
	ListenAddr         string               `envconfig:"LISTEN_ADDR" default:":8080" desc:"address of the public listener, host:port"`
	AllowedSourceCIDRs configtypes.Prefixes `envconfig:"ALLOWED_SOURCE_CIDRS" unset:"any" empty:"refused" desc:"networks from which callbacks are accepted"`
	TrustedProxies     configtypes.Prefixes `envconfig:"TRUSTED_PROXIES" unset:"none" empty:"refused" desc:"networks of trusted proxies, which must set X-Forwarded-For or Forwarded themselves and not pass on what a client sent, or senders choose their address; the client IP is the right-most hop outside of them"`
	ReadHeaderTimeout  time.Duration        `envconfig:"HTTP_READ_HEADER_TIMEOUT" default:"5s" range:"1s..1m" desc:"deadline of the header section"`
	ReadTimeout        time.Duration        `envconfig:"HTTP_READ_TIMEOUT" default:"60s" range:"1s..10m" desc:"deadline of a whole request; a body must have the throughput that this needs, with 10s of grace"`
	WriteTimeout       time.Duration        `envconfig:"HTTP_WRITE_TIMEOUT" default:"75s" range:"2s..15m" desc:"deadline of the response, from the header section of the request; more than HTTP_READ_TIMEOUT"`
	IdleTimeout        time.Duration        `envconfig:"HTTP_IDLE_TIMEOUT" default:"620s" range:"1s..1h" desc:"time that an idle connection stays open; longer than proxies keep theirs, of which Google has the longest, 600s"`
	MaxHeaderBytes     configtypes.Size     `envconfig:"HTTP_MAX_HEADER_BYTES" default:"32KiB" range:"4KiB..1MiB" desc:"largest header section, request line included"`
	MaxConnections     int                  `envconfig:"HTTP_MAX_CONNECTIONS" default:"10000" range:"16..1000000" desc:"open connections; a client gets three quarters, also behind a trusted proxy while it has a request; at the limit, the oldest idle one or the slowest body is closed for a new one, and health routes still answer; lowered with a warning to fit the limits of file descriptors and of memory"`
}

// Validate returns a *configtypes.Conflict if two values contradict each other.
func (c Config) Validate() error {
	if c.WriteTimeout <= c.ReadTimeout {
		return &configtypes.Conflict{Name: "HTTP_WRITE_TIMEOUT", Text: "must be more than HTTP_READ_TIMEOUT, or slow requests get no response"}
	}
	return nil
}
