package telemetry

import _ "expvar"
