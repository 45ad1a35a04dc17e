package app

import (
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/dustin/go-humanize"
)

// useMemory makes the budget for bodies and bounds the connections, within the memory limit of the process.
func (a *App) useMemory(limit memory.Limit) {
	wished := int64(a.config.Webhook.InFlightBytes)
	bytes := limit.Budget(wished)
	if bytes < wished {
		a.log.Warn().Str("budget", humanize.IBytes(uint64(bytes))).Str("configured", humanize.IBytes(uint64(wished))).
			Str("limit", humanize.IBytes(uint64(limit))).Msg("memory budget lowered to fit the memory limit")
	}
	if connections := limit.Connections(int64(a.config.HTTP.MaxHeaderBytes)); connections < a.config.HTTP.MaxConnections {
		a.log.Warn().Int("connections", connections).Int("configured", a.config.HTTP.MaxConnections).
			Str("limit", humanize.IBytes(uint64(limit))).Msg("limit of connections lowered to fit the memory limit")
		a.config.HTTP.MaxConnections = connections
	}
	limit.Apply()
	a.memory = memory.New(bytes)
}
