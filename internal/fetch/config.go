package fetch

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// Config says what may be fetched. Ports are not restricted: the host list, the
// guard and TLS decide, and object stores are found on any port.
type Config struct {
	AllowedHosts configtypes.List     `envconfig:"ALLOWED_HOSTS" default:"deep-image.ai,*.deep-image.ai,neuroapi-store.s3.eu-central-1.amazonaws.com" desc:"hosts that results may be fetched from; *.example.com for every host below a domain, * for any public host"`
	AllowedCIDRs configtypes.Prefixes `envconfig:"ALLOWED_CIDRS" desc:"private networks that may be dialled all the same"`
	AllowHTTP    bool                 `envconfig:"ALLOW_HTTP" default:"false" desc:"fetch results over plain http too"`

	// Zero stands for the default in the next two.

	StallTimeout      time.Duration    `envconfig:"STALL_TIMEOUT" default:"30s" range:"1s..10m" desc:"how long a transfer may bring nothing before its connection is given up"`
	MinBytesPerSecond configtypes.Size `envconfig:"MIN_BYTES_PER_SECOND" default:"4KiB" range:"1B..64MiB" desc:"average speed below which a transfer is given up"`
}

const (
	defaultStallTimeout      = 30 * time.Second
	defaultMinBytesPerSecond = 4 << 10

	maxURLBytes  = 8 << 10 // of a URL, given or in a Location header
	maxRedirects = 3       // for one answer
	maxResumes   = 5       // for one Get
	bufferBytes  = 64 << 10
)

// limits are the deadlines and speeds of a client.
type limits struct {
	dial      time.Duration // DNS and connecting, all addresses of a host together
	handshake time.Duration // TLS
	header    time.Duration // from the request to the end of the answer's header section
	stall     time.Duration // one read of the body
	window    time.Duration // reading time over which the speed is averaged
	speed     int64         // bytes per second that must be reached in a window
	pause     time.Duration // before the first resume; doubles with each
}

// limits fills in what a person has no reason to set.
func (c Config) limits() limits {
	l := limits{
		dial:      httpclient.DialTimeout,
		handshake: httpclient.HandshakeTimeout,
		header:    30 * time.Second,
		stall:     c.StallTimeout,
		window:    30 * time.Second,
		speed:     int64(c.MinBytesPerSecond),
		pause:     250 * time.Millisecond,
	}
	if l.stall <= 0 {
		l.stall = defaultStallTimeout
	}
	if l.speed <= 0 {
		l.speed = defaultMinBytesPerSecond
	}
	return l
}
