package fetch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

const (
	MaxRedirects = maxRedirects
	MaxResumes   = maxResumes
)

// WithResolver replaces the system's DNS.
func WithResolver(resolver *net.Resolver) Option {
	return func(o *options) { o.resolver = resolver }
}

// Transfer is what a Get counted.
type Transfer struct {
	Bytes   int64
	Host    string
	Resumed int
}

// GetCounted is Get, and returns what it counted.
func (c *Client) GetCounted(ctx context.Context, request Request, w io.Writer) (Transfer, error) {
	t, err := c.newTransfer(request, w)
	if err != nil {
		return Transfer{}, err
	}
	err = t.run(ctx)
	return Transfer{Bytes: t.written, Host: t.host, Resumed: t.resumed}, err
}

// Limits are deadlines short enough to wait for. Zero leaves a limit as it is.
type Limits struct {
	Dial, Handshake, Header, Silence, Stall, ErrorBody, Window time.Duration
	Speed, Overlap                                             int64
}

// WithLimits replaces some limits. The pause before a resume is always short.
func WithLimits(l Limits) Option {
	return func(o *options) {
		replace(&o.limits.dial, l.Dial)
		replace(&o.limits.handshake, l.Handshake)
		replace(&o.limits.header, l.Header)
		replace(&o.limits.silence, l.Silence)
		replace(&o.limits.stall, l.Stall)
		replace(&o.limits.errorBody, l.ErrorBody)
		replace(&o.limits.window, l.Window)
		replace(&o.limits.speed, l.Speed)
		replace(&o.limits.overlap, l.Overlap)
		o.limits.pause = time.Millisecond
	}
}

func replace[T comparable](limit *T, by T) {
	var zero T
	if by != zero {
		*limit = by
	}
}

// ReadGuarded reads body to its end under a stallGuard, as a transfer does.
func ReadGuarded(ctx context.Context, l Limits, body io.Reader) error {
	limits := limits{stall: l.Stall, window: l.Window, speed: l.Speed}
	guard := newStallGuard(ctx, limits)
	defer guard.end()
	for buffer := make([]byte, 1<<10); ; {
		switch _, err := guard.read(body, buffer); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case guard.ctx.Err() != nil:
			return context.Cause(guard.ctx)
		}
	}
}

// ErrStalled and ErrSlow are the errors of a stallGuard.
var (
	ErrStalled = errStalled
	ErrSlow    = errSlow
)

// Permits reports whether the guard allows addr.
func Permits(addr netip.Addr, allowed ...netip.Prefix) bool {
	return newGuard(configtypes.Prefixes(allowed)).permits(addr)
}

// Control is the guard's check as the dialer calls it.
func Control(network, address string) error {
	return newGuard(nil).control(context.Background(), network, address, nil)
}

// Admit returns the URL that would be requested.
func (c *Client) Admit(text string) (string, error) {
	admitted, err := c.rules.parse(text)
	if err != nil {
		return "", err
	}
	return admitted.String(), nil
}

// StallTimeout and MinBytesPerSecond are the limits of a client with this configuration.
func StallTimeout(config Config) time.Duration {
	limits, _ := config.limits()
	return limits.stall
}

func MinBytesPerSecond(config Config) int64 {
	limits, _ := config.limits()
	return limits.speed
}

// NewSharesWithin is NewShares, or NewSingleShares for no transfers, with another time after which a transfer is measured.
func NewSharesWithin(transfers int, interval time.Duration) *Shares {
	shares := NewShares(transfers)
	if transfers == 0 {
		shares = NewSingleShares()
	}
	shares.interval = interval
	return shares
}

// Slow returns how many slow transfers are under way.
func (s *Shares) Slow() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.total
}

// Begin begins a transfer that receives nothing.
func (s *Shares) Begin(ctx context.Context, host string) (end func(), err error) {
	_, share, err := s.begin(ctx, host)
	return func() { share.end(context.Canceled) }, err
}

// BeginQuick begins a transfer that is quick.
func (s *Shares) BeginQuick(ctx context.Context, host string) (end func(), err error) {
	_, share, err := s.begin(ctx, host)
	share.add(1 << 40)
	return func() { share.end(nil) }, err
}
