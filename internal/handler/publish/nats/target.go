package nats

import (
	"crypto/tls"
	"errors"
	"os"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

const defaultPort = "4222"

// target is the servers, the subject and the credentials.
type target struct {
	servers     []string // nats://host:port or tls://host:port
	subject     string
	user        string
	password    secret.Value
	credentials string      // file with a JWT and its seed
	tls         *tls.Config // nil: the server decides
}

// parse parses the URL. The text of the error follows the name of the variable.
func parse(address broker.Address) (target, error) {
	hosts, err := address.HostsWithPort(defaultPort)
	if err != nil {
		return target{}, err
	}
	made := target{
		subject: address.Path, user: address.User, password: address.Password,
		credentials: address.Parameters.Text("credentials"),
		tls:         address.Parameters.TLS(address.Scheme == "tls"),
	}
	for _, host := range hosts {
		made.servers = append(made.servers, address.Scheme+"://"+host)
	}
	if err := checkSubject(made.subject); err != nil {
		return target{}, err
	}
	if made.credentials != "" {
		if _, err := os.Stat(made.credentials); err != nil {
			address.Parameters.Fault("credentials", "names a file that cannot be read: "+err.Error())
		}
	}
	return made, address.Parameters.Err()
}

// checkSubject returns an error for a subject that cannot be published to (https://docs.nats.io/nats-concepts/subjects).
func checkSubject(subject string) error {
	if subject == "" {
		return errors.New("names no subject, such as deep-image.complete in nats://host:4222/deep-image.complete")
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsAny(token, " \t\r\n") {
			return errors.New("has a subject with an empty part, a blank or a wildcard; messages go to one plain subject")
		}
	}
	return nil
}
