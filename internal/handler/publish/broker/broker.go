// Package broker is the contract between the publish handler and its brokers, and what brokers share: URLs, the one
// connection, the classification of errors.
package broker

import "context"

// ContentType is the media type of every message: a CloudEvent in structured mode, as JSON.
const ContentType = "application/cloudevents+json"

// Message is one event for a broker.
type Message struct {
	ID   string // of the event: the same for every attempt and replay, so that consumers recognise repeats
	Job  string // messages of one job keep their order, if the broker supports that
	Body []byte // the CloudEvent; must not be changed
}

// Broker stores messages. It is called concurrently. It connects for the first message, and again after a connection
// broke.
//
// Its errors are classified (package handler). Only a message that is too large fails: brokers recover, topics can be
// created and passwords corrected. No error contains a password.
type Broker interface {
	// Publish returns nil only after the broker has acknowledged that it stored the message.
	Publish(ctx context.Context, message Message) error
	// Check connects and returns an error if the topic does not exist. It sends no message.
	Check(ctx context.Context) error
	// Close closes all connections. It must not be called during Publish.
	Close() error
}
