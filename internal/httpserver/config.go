package httpserver

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

// Config says where the public listener is, whom it believes and how long it waits.
type Config struct {
	ListenAddr         string               `envconfig:"LISTEN_ADDR" default:":8080" desc:"address of the public listener, host:port"`
	AllowedSourceCIDRs configtypes.Prefixes `envconfig:"ALLOWED_SOURCE_CIDRS" unset:"any" desc:"networks that callbacks may come from"`
	TrustedProxies     configtypes.Prefixes `envconfig:"TRUSTED_PROXIES" unset:"none" desc:"networks of proxies whose X-Forwarded-For is believed; its right-most hop outside of them is the client"`
	ReadHeaderTimeout  time.Duration        `envconfig:"HTTP_READ_HEADER_TIMEOUT" default:"5s" range:"1s..1m" desc:"time that a client has for the header section"`
	ReadTimeout        time.Duration        `envconfig:"HTTP_READ_TIMEOUT" default:"60s" range:"1s..10m" desc:"time that a client has for a whole request"`
	WriteTimeout       time.Duration        `envconfig:"HTTP_WRITE_TIMEOUT" default:"75s" range:"2s..15m" desc:"time from the header section to the end of the answer; more than HTTP_READ_TIMEOUT"`
	IdleTimeout        time.Duration        `envconfig:"HTTP_IDLE_TIMEOUT" default:"120s" range:"1s..1h" desc:"time that a connection is kept open between two requests"`
	MaxHeaderBytes     configtypes.Size     `envconfig:"HTTP_MAX_HEADER_BYTES" default:"32KiB" range:"4KiB..1MiB" desc:"largest header section, request line included"`
	MaxConnections     int                  `envconfig:"HTTP_MAX_CONNECTIONS" default:"10000" range:"16..1000000" desc:"connections open at the same time; a newcomer beyond is closed"`
}

// Validate tells what in the configuration does not go together.
func (c Config) Validate() error {
	if c.WriteTimeout <= c.ReadTimeout {
		return &configtypes.Conflict{Name: "HTTP_WRITE_TIMEOUT", Text: "must be more than HTTP_READ_TIMEOUT, or no answer to a slow request gets out"}
	}
	return nil
}
