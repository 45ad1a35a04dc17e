// Package builtin lists the handlers that the receiver is built with.
package builtin

import (
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/handler/publish"
)

// All lists every handler, one line each. RECEIVER_HANDLERS picks from it by name.
func All() []handler.Definition {
	return []handler.Definition{
		handler.Define(download.Name, download.New),
		handler.Define(forward.Name, forward.New),
		handler.Define(publish.Name, publish.New),
	}
}
