package main

import (
	"io"
	"net"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// announce prints, once, where callbacks are to be sent: when the token was made
// by this start. It never goes through the log, which is kept and passed on.
func announce(out io.Writer, c config.Config, tokens config.Tokens, bound net.Addr) {
	if !tokens.Made {
		return
	}
	base := c.PublicURL
	if base == "" {
		base = "https://YOUR-HOST"
	}
	path := event.WebhookPath + "/" + url.PathEscape(tokens.List[0].Reveal())
	printTo(out, `
This is the first start: a webhook token was made and is kept in
  %s

Register this URL with Deep Image as webhooks.complete:
  %s
`, tokens.File, base+path)
	if local, err := localURL(bound.String()); err == nil {
		printTo(out, `
From this machine the receiver is reached at:
  %s
`, local+path)
	}
	printTo(out, `
Whoever knows the token can send callbacks, so keep it secret.

`)
}
