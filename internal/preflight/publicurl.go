package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

const (
	probeTimeout = 5 * time.Second
	maxProbe     = 4 << 10 // bytes of an answer
	// forgedClient is the client IP that a probe claims. It is for documentation, so no client has it.
	forgedClient = "192.0.2.66"
)

// checkPublicURL asks the running receiver through its public URL which client IP it sees, and claims another one.
func checkPublicURL(ctx context.Context, c config.Config) []Result {
	const check = "public url"
	tokens, err := c.Tokens()
	if c.PublicURL == "" || err != nil {
		return nil // another check reports a missing token
	}
	client, err := probe(ctx, c.PublicURL+event.WebhookPath, tokens.List[0].Reveal())
	switch {
	case err != nil:
		return []Result{{check, c.PublicURL, Warn, "no running receiver answers at " + c.PublicURL + ": " + err.Error()}}
	case !client.IsValid():
		return []Result{{check, c.PublicURL, Warn, "the receiver at " + c.PublicURL + " cannot read the client IP that the proxy sends in " +
			"X-Forwarded-For or Forwarded; let it set the header itself, as in deploy/proxies"}}
	case client.Unmap().String() == forgedClient:
		return []Result{{check, c.PublicURL, Warn, "senders can choose their client IP: the proxy passes on the X-Forwarded-For that they send; " +
			"let it set the header itself, as in deploy/proxies"}}
	}
	return []Result{{check, c.PublicURL, OK, "a receiver answers at " + c.PublicURL + ", and sees this machine as " + client.String()}}
}

// probe returns the client IP that a receiver sees, the zero Addr if it cannot read what a proxy sends. Its errors contain neither token
// nor URL.
func probe(ctx context.Context, address, token string) (client netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		return client, err
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, httpclient.ProbeHeader: "client", "User-Agent": httpclient.UserAgent(),
		"X-Forwarded-For": forgedClient, "Forwarded": "for=" + forgedClient,
	} {
		request.Header.Set(name, value)
	}
	connection := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	keep := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token must not go elsewhere
	response, err := (&http.Client{Transport: connection, CheckRedirect: keep}).Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return client, err
	}
	defer response.Body.Close()             //nolint:errcheck // only read from
	var answer struct{ Client *netip.Addr } // the zero Addr is ""
	content, err := io.ReadAll(io.LimitReader(response.Body, maxProbe))
	if err == nil && response.StatusCode == http.StatusOK {
		err = json.Unmarshal(content, &answer)
	}
	if err != nil || answer.Client == nil {
		return client, fmt.Errorf("the answer is %s, and not that of this receiver", response.Status)
	}
	return *answer.Client, nil
}
