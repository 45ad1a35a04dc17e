// Package publish breaks the rule that handlers do not know each other, and links testing.
package publish

import (
	_ "testing"

	_ "example.org/planted/internal/handler/download"
)
