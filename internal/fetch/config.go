package fetch

import (
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Config limits what may be fetched. Ports are not restricted: object stores use any port, and the host list, the guard
// and TLS decide.
type Config struct {
	AllowedHosts configtypes.List     `envconfig:"ALLOWED_HOSTS" default:"deep-image.ai,*.deep-image.ai,neuroapi-store.s3.eu-central-1.amazonaws.com" empty:"refused" desc:"hosts that results may be fetched from; *.example.com for all hosts below a domain, * for any public host"`
	AllowedCIDRs configtypes.Prefixes `envconfig:"ALLOWED_CIDRS" empty:"refused" desc:"private networks that results may be fetched from"`
	AllowHTTP    bool                 `envconfig:"ALLOW_HTTP" default:"false" desc:"fetch results over plain http too"`

	ProxyURL secret.Value `envconfig:"PROXY_URL" desc:"proxy through which all results are fetched: http://host:port, https:// or socks5://, with user:password@ if needed; names are still checked, but not the addresses to which the proxy connects; a proxy of the environment (HTTPS_PROXY) is not used"`
	Contact  string       `envconfig:"CONTACT" unset:"https:// and the host of PUBLIC_URL" desc:"e-mail address or URL in the User-Agent of fetches, for the operators of image hosts"`

	// Zero stands for the default in the next two.

	StallTimeout      time.Duration    `envconfig:"STALL_TIMEOUT" default:"30s" range:"1s..10m" desc:"time without data after which a transfer fails"`
	MinBytesPerSecond configtypes.Size `envconfig:"MIN_BYTES_PER_SECOND" default:"4KiB" range:"1B..64MiB" desc:"minimum average throughput; a slower transfer fails"`
}

// Validate returns an error if the proxy or the contact is not valid.
func (c Config) Validate() error {
	if _, err := c.proxy(); err != nil {
		return &configtypes.Conflict{Name: "PROXY_URL", Text: err.Error()}
	}
	if len(c.Contact) > maxContactBytes || !sanitize.IsPlainASCII(c.Contact) || strings.ContainsAny(c.Contact, `()\\`) {
		return &configtypes.Conflict{Name: "CONTACT", Text: "must be an e-mail address or a URL without blanks and brackets"}
	}
	return nil
}

// userAgent returns the User-Agent with the contact, such as "deepimage-receiver/1.2.3 (+https://hooks.example.com)".
func (c Config) userAgent() string {
	if c.Contact == "" {
		return httpclient.UserAgent()
	}
	return httpclient.UserAgent() + " (+" + c.Contact + ")"
}

const (
	maxContactBytes = 200
	maxURLBytes     = 8 << 10 // of a URL, or of a Location header
	maxRedirects    = 5       // of one response
	maxResumes      = 5       // of one Get
	bufferBytes     = 64 << 10
	headBytes       = 4 << 10  // of the body of an error
	overlapBytes    = 64 << 10 // that a resumed transfer requests again and compares
)

// limits are the deadlines, speeds and sizes of a client.
type limits struct {
	dial      time.Duration // DNS and connecting, all addresses of a host together
	handshake time.Duration // TLS
	header    time.Duration // from the request to the end of the response's header section
	silence   time.Duration // the same, while the host has another address
	stall     time.Duration // one read of the body
	errorBody time.Duration // reading the beginning of the body of an error
	window    time.Duration // reading time over which the throughput is averaged
	speed     int64         // bytes per second, minimum of a window
	pause     time.Duration // before the first resume; doubles with each
	overlap   int64         // bytes
}

// limits adds the values that are not configurable.
func (c Config) limits() (limits, error) {
	err := configtypes.FillDefaults(&c, "StallTimeout", "MinBytesPerSecond")
	return limits{
		dial:      httpclient.DialTimeout,
		handshake: httpclient.HandshakeTimeout,
		header:    30 * time.Second,
		silence:   10 * time.Second,
		stall:     c.StallTimeout,
		errorBody: 2 * time.Second,
		window:    30 * time.Second,
		speed:     int64(c.MinBytesPerSecond),
		pause:     250 * time.Millisecond,
		overlap:   overlapBytes,
	}, err
}
