package rabbitmq

import (
	"crypto/tls"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/rabbitmq/amqp091-go"
)

const (
	defaultPort    = "5672"
	defaultTLSPort = "5671"
	defaultVhost   = "/"
	defaultUser    = "guest" // and the password: the default of RabbitMQ, on loopback only

	// defaultKey is the routing key for an exchange if the URL has none: the type of the CloudEvent.
	defaultKey   = "ai.deep-image.job.complete"
	maxNameBytes = 255 // a short string of AMQP
)

// target is the hosts, the exchange or queue, and the credentials.
type target struct {
	hosts    []string // host:port
	user     string
	password secret.Value
	external bool // the client certificate is the credential
	vhost    string
	exchange string // "" is the default exchange, whose routing keys are queue names
	key      string
	tls      *tls.Config // nil for none
}

// parse parses the URL. The text of the error follows the name of the variable.
func parse(address broker.Address) (target, error) {
	secure, port := address.Scheme == "amqps", defaultPort
	if secure {
		port = defaultTLSPort
	}
	hosts, err := address.HostsWithPort(port)
	if err != nil {
		return target{}, err
	}
	parameters := address.Parameters
	made := target{
		hosts: hosts, user: address.User, password: address.Password, vhost: address.Path,
		exchange: parameters.Text("exchange"), key: parameters.Text("routing_key"),
		external: parameters.Choice("sasl", "plain", "external") == "external", tls: parameters.TLS(secure),
	}
	if made.vhost == "" {
		made.vhost = defaultVhost
	}
	if made.user == "" {
		made.user, made.password = defaultUser, secret.New(defaultUser)
	}
	if made.external && !parameters.Has("cert") {
		parameters.Fault("sasl", "needs the parameters cert and key")
	}
	switch {
	case made.exchange == "" && made.key == "":
		return target{}, errors.New("names neither an exchange nor a routing_key; " +
			"a routing_key alone is a queue, as in amqp://host/vhost?routing_key=deep-image")
	case made.key == "":
		made.key = defaultKey
	case max(len(made.vhost), len(made.exchange), len(made.key)) > maxNameBytes:
		return target{}, errors.New("has a vhost, exchange or routing_key of more than 255 bytes")
	}
	return made, parameters.Err()
}

// authentication returns the SASL mechanism.
func (t target) authentication() amqp091.Authentication {
	if t.external {
		return &amqp091.ExternalAuth{}
	}
	return &amqp091.PlainAuth{Username: t.user, Password: t.password.Reveal()}
}
