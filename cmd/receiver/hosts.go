package main

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

// checkHosts looks up the hosts that results come from. A name that is not found is
// only a warning: it may be there when a result is.
func checkHosts(ctx context.Context, patterns []string) []finding {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	findings := make([]finding, min(len(patterns), maxResolved))
	var group sync.WaitGroup
	for i := range findings {
		group.Go(func() { findings[i] = checkHost(ctx, patterns[i]) })
	}
	group.Wait()
	return findings
}

func checkHost(ctx context.Context, pattern string) finding {
	const check = "host"
	if pattern == "*" {
		return finding{check, verdictWarn, "* lets results be fetched from any public host"}
	}
	name, isBelow := strings.CutPrefix(pattern, "*.")
	if isBelow {
		return finding{check, verdictOK, "hosts below " + name + " are allowed"}
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return finding{check, verdictWarn, fmt.Sprintf("%s is not found: %s", name, err)}
	}
	return finding{check, verdictOK, fmt.Sprintf("%s has %d addresses", name, len(addresses))}
}
