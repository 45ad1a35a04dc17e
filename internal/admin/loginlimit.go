package admin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failureBurst wrong tokens of one network are checked at once, then one each failureEvery.
	failureBurst = 10
	failureEvery = 10 * time.Second
	// maxNetworks bounds the networks that are counted. Beyond it the one whose last failure is oldest is dropped.
	maxNetworks = 1024
	// networkBits is the length of the prefix by which IPv6 clients are counted: one client usually has a whole /64.
	networkBits = 64
)

// network is the key by which a client IP is counted: an IPv4 address, or the /64 of an IPv6 address.
func network(client netip.Addr) string {
	client = client.Unmap().WithZone("")
	if !client.Is6() {
		return client.String()
	}
	prefix, err := client.Prefix(networkBits)
	if err != nil {
		return client.String()
	}
	return prefix.String()
}

// loginLimit counts wrong tokens by network.
type loginLimit struct {
	mutex    sync.Mutex
	networks map[string]*failures
}

type failures struct {
	limit  *rate.Limiter
	latest time.Time
}

func newLoginLimit() *loginLimit { return &loginLimit{networks: map[string]*failures{}} }

// wait is how long a network has to wait before its next token is checked.
func (l *loginLimit) wait(network string, now time.Time) time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	found, ok := l.networks[network]
	if !ok {
		return 0
	}
	missing := 1 - found.limit.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing * float64(failureEvery))
}

// addFailure counts a wrong token.
func (l *loginLimit) addFailure(network string, now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	found, ok := l.networks[network]
	if !ok {
		l.dropOldest()
		found = &failures{limit: rate.NewLimiter(rate.Every(failureEvery), failureBurst)}
		l.networks[network] = found
	}
	found.latest = now
	found.limit.AllowN(now, 1)
}

func (l *loginLimit) dropOldest() {
	if len(l.networks) < maxNetworks {
		return
	}
	var oldest string
	for network, found := range l.networks {
		if oldest == "" || found.latest.Before(l.networks[oldest].latest) {
			oldest = network
		}
	}
	delete(l.networks, oldest)
}
