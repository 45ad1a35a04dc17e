package preflight

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	resolveTimeout = 3 * time.Second // for all names together
	maxResolved    = 32              // names
)

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
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return Result{check, pattern, Warn, fmt.Sprintf("%s does not resolve: %s", name, err)}
	}
	return Result{check, pattern, OK, fmt.Sprintf("%s resolves to %d addresses", name, len(addresses))}
}
