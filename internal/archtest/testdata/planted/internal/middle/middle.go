// Package middle is on the way.
package middle

import _ "example.org/planted/internal/inbox"
