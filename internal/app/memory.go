package app

import (
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/dustin/go-humanize"
)

// useMemory makes the budget for bodies, within the memory limit of the process.
func (a *App) useMemory(limit memory.Limit) {
	wished := int64(a.config.Webhook.InFlightBytes)
	bytes := limit.Budget(wished)
	if bytes < wished {
		a.log.Warn().Str("budget", humanize.IBytes(uint64(bytes))).Str("configured", humanize.IBytes(uint64(wished))).
			Str("limit", humanize.IBytes(uint64(limit))).Msg("memory budget lowered to fit the memory limit")
	}
	limit.Apply()
	a.memory = memory.New(bytes)
}
