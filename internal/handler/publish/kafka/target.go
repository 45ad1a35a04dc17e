package kafka

import (
	"crypto/tls"
	"errors"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	defaultPort = "9092"

	// The largest message, of which Kafka's own default, message.max.bytes of the
	// broker and max.message.bytes of the topic, is a little more than a million bytes.
	defaultMaxBytes  = 1_000_000
	smallestMaxBytes = 1 << 10
	largestMaxBytes  = 64 << 20
)

// target is the cluster, the topic and the credentials.
type target struct {
	brokers   []string // host:port
	topic     string
	user      string
	password  secret.Value
	mechanism string      // of SASL; "" for none
	tls       *tls.Config // nil for none
	maxBytes  int32
}

// parse parses the URL. The text of the error follows the name of the variable.
func parse(address broker.Address) (target, error) {
	hosts, err := address.HostsWithPort(defaultPort)
	if err != nil {
		return target{}, err
	}
	parameters := address.Parameters
	made := target{
		brokers: hosts, topic: address.Path, user: address.User, password: address.Password,
		tls:      parameters.TLS(parameters.Flag("tls")),
		maxBytes: int32(parameters.Number("max_message_bytes", smallestMaxBytes, largestMaxBytes, defaultMaxBytes)),
	}
	mechanism := parameters.Choice("sasl", "plain", "scram-sha-256", "scram-sha-512")
	if made.user != "" {
		made.mechanism = mechanism
	} else if parameters.Has("sasl") {
		parameters.Fault("sasl", "needs a user and password in the address")
	}
	if err := checkTopic(made.topic); err != nil {
		return target{}, err
	}
	return made, parameters.Err()
}

// checkTopic returns an error for an invalid topic name.
func checkTopic(topic string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if topic == "" || len(topic) > 249 || strings.Trim(topic, letters) != "" || topic == "." || topic == ".." {
		return errors.New("names no topic, such as deep-image in kafka://host:9092/deep-image: letters, digits and . _ -")
	}
	return nil
}

// authentication returns the SASL mechanism.
func (t target) authentication() sasl.Mechanism {
	switch t.mechanism {
	case "plain":
		return plain.Auth{User: t.user, Pass: t.password.Reveal()}.AsMechanism()
	case "scram-sha-256":
		return scram.Auth{User: t.user, Pass: t.password.Reveal()}.AsSha256Mechanism()
	default:
		return scram.Auth{User: t.user, Pass: t.password.Reveal()}.AsSha512Mechanism()
	}
}
