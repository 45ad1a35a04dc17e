// Package broker is the contract between the publish handler and the brokers that
// it knows, and what they have in common: their addresses, their connection, what
// their failures mean.
package broker

import "context"

// ContentType is the media type of every message: a CloudEvent in structured mode, as JSON.
const ContentType = "application/cloudevents+json"

// Message is one event on its way to a broker.
type Message struct {
	ID   string // of the event: the same at every attempt and at every replay, so that repeats can be told
	Job  string // what belongs together and keeps its order, where a broker cares
	Body []byte // the CloudEvent; must not be changed
}

// Broker takes messages. It is called from many goroutines. Nothing is connected
// before the first message, and what is broken is connected again for the next one.
//
// Its errors are those of package handler, by what a person can do: nothing but a
// message that is too large is permanent, since brokers come back, topics can be
// created and passwords can be put right. No error holds a password.
type Broker interface {
	// Publish returns nil only when the broker has acknowledged that it keeps the message.
	Publish(ctx context.Context, message Message) error
	// Check connects and looks whether there is what messages are sent to, without sending one.
	Check(ctx context.Context) error
	// Close ends all connections; no Publish may be under way.
	Close() error
}
