// Package event breaks the rule that the domain imports nothing of ours.
package event

import (
	_ "encoding/json"

	_ "example.org/planted/internal/telemetry"
)
