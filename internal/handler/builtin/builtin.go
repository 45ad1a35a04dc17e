// Package builtin is the list of the handlers there are: one line for each.
package builtin

import (
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
)

// All lists the handlers in the order in which people read about them.
func All() []handler.Definition {
	return []handler.Definition{
		handler.Define("download", download.New),
	}
}
