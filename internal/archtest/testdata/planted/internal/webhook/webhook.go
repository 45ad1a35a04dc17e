// Package webhook breaks the rule of doors by way of another package.
package webhook

import _ "example.org/planted/internal/middle"
