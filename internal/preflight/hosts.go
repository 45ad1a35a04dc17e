package preflight

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

const (
	resolveTimeout = 3 * time.Second // for all names together
	maxResolved    = 32              // names
)

// checkFetch checks the way to the hosts from which results may be fetched. Behind a proxy their names are not resolved here.
func checkFetch(ctx context.Context, c fetch.Config) []Result {
	const check, variable = "proxy", "RECEIVER_FETCH_PROXY_URL"
	if address := c.ProxyAddress(); address != "" {
		ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return []Result{{check, address, Fail, fmt.Sprintf("%s cannot be reached: %s. %s is the proxy", address, err, variable)}}
		}
		_ = conn.Close()
		text := "results are fetched through " + address + ": names are checked, the addresses to which the proxy connects are not"
		return []Result{{check, address, Warn, text}}
	}
	results := checkHosts(ctx, c.AllowedHosts)
	if unused := fetch.EnvironmentProxy(); unused != "" {
		results = append(results, Result{check, unused, Warn, unused + " is set, but results are fetched without it; " + variable + " sets a proxy for them"})
	}
	return results
}

// checkHosts resolves the hosts from which results may be fetched. A name that does not resolve is
// only a warning: it may resolve later.
func checkHosts(ctx context.Context, patterns []string) []Result {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	results := make([]Result, min(len(patterns), maxResolved))
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = checkHost(ctx, patterns[i]) })
	}
	group.Wait()
	return results
}

func checkHost(ctx context.Context, pattern string) Result {
	const check = "host"
	if pattern == "*" {
		return Result{check, pattern, Warn, "* allows results from any public host"}
	}
	name, ok := strings.CutPrefix(pattern, "*.")
	if ok {
		return Result{check, pattern, OK, "subdomains of " + name + " are allowed"}
	}
	ascii, err := fetch.HostName(name)
	if err != nil {
		return Result{check, pattern, Fail, fmt.Sprintf("%s %s", name, err)}
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, ascii)
	if err != nil {
		return Result{check, pattern, Warn, fmt.Sprintf("%s does not resolve: %s", name, err)}
	}
	return Result{check, pattern, OK, fmt.Sprintf("%s resolves to %d addresses", name, len(addresses))}
}
