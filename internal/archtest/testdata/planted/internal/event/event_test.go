package event_test

import _ "example.org/planted/internal/inbox"
