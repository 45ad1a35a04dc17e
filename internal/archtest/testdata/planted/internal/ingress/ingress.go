// Package ingress breaks the rule of doors by way of another package.
package ingress

import _ "example.org/planted/internal/middle"
