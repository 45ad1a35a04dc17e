package admin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failureBurst wrong tokens of one network are answered at once, then one for each failureEvery.
	failureBurst = 10
	failureEvery = 10 * time.Second
	// maxClients bounds the networks that are kept in mind; beyond it the one that failed longest ago is forgotten.
	maxClients = 1024
)

// networkBits are those of an IPv6 address that tell clients apart: whoever has one address has all with the same ones.
const networkBits = 64

// network is what a client is counted by: its address, or in IPv6 the network of that.
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

// failures counts wrong tokens by the network they came from.
type failures struct {
	mutex   sync.Mutex
	clients map[string]*failing
}

type failing struct {
	limit  *rate.Limiter
	latest time.Time
}

func newFailures() *failures { return &failures{clients: map[string]*failing{}} }

// wait is how long a client has to wait before it is listened to again.
func (f *failures) wait(client string, now time.Time) time.Duration {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	known, ok := f.clients[client]
	if !ok {
		return 0
	}
	missing := 1 - known.limit.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing * float64(failureEvery))
}

// add counts a wrong token.
func (f *failures) add(client string, now time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	known, ok := f.clients[client]
	if !ok {
		f.makeRoom()
		known = &failing{limit: rate.NewLimiter(rate.Every(failureEvery), failureBurst)}
		f.clients[client] = known
	}
	known.latest = now
	known.limit.AllowN(now, 1)
}

func (f *failures) makeRoom() {
	if len(f.clients) < maxClients {
		return
	}
	var oldest string
	for client, known := range f.clients {
		if oldest == "" || known.latest.Before(f.clients[oldest].latest) {
			oldest = client
		}
	}
	delete(f.clients, oldest)
}
