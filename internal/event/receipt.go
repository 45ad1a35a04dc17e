package event

import "time"

// Receipt is what the durable store says of an event it was handed.
type Receipt struct {
	ID        ID   // the name of the event; of the first one if this is a repeat
	Duplicate bool // the event was stored before
}

// Rejection is the body of an authenticated request that is no event. It is kept
// for a person to look at, within bounds.
type Rejection struct {
	Received time.Time
	Code     Code   // CodeMalformed or CodeInvalid
	Detail   string // what the sender was told
	Body     []byte // byte for byte
}
