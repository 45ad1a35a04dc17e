package main

import (
	"io"
	"net"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// printURL prints the webhook URL when this start created the token. The token must not get into the log.
func printURL(out io.Writer, c config.Config, tokens config.Tokens, bound net.Addr) {
	if !tokens.Made {
		return
	}
	base := c.PublicURL
	if base == "" {
		base = "https://YOUR-HOST"
	}
	path := event.WebhookPath + "/" + url.PathEscape(tokens.List[0].Reveal())
	printTo(out, `
This is the first start. A webhook token was created in
  %s

Register this URL with Deep Image as webhooks.complete:
  %s
`, tokens.File, base+path)
	if local, err := localURL(bound.String()); err == nil {
		printTo(out, `
On this machine the receiver listens at:
  %s
`, local+path)
	}
	printTo(out, `
Keep the token secret: it allows anyone to send callbacks.

`)
}
