package googlepubsub

import (
	"errors"
	"net/url"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

const (
	service = "https://pubsub.googleapis.com"

	// maxBytes is the largest message (https://cloud.google.com/pubsub/quotas).
	maxBytes = 10_000_000
)

// target is the topic and its endpoint.
type target struct {
	endpoint string // https://host, or http://host:port of an emulator
	topic    string // projects/P/topics/T
}

// parse parses the URL. The text of the error follows the name of the variable.
func parse(address broker.Address) (target, error) {
	if address.User != "" {
		return target{}, errors.New("has a user; for Google credentials come from GOOGLE_APPLICATION_CREDENTIALS or the machine's service account")
	}
	made := target{endpoint: service}
	if endpoint := address.Parameters.Text("endpoint"); endpoint != "" {
		made.endpoint = strings.TrimSuffix(endpoint, "/")
		if !isEndpoint(endpoint) {
			address.Parameters.Fault("endpoint", "is no address such as http://127.0.0.1:8085")
		}
	}
	parts := append([]string{strings.Join(address.Hosts, ",")}, strings.Split(address.Path, "/")...)
	if len(parts) == 4 && parts[0] == "projects" && parts[2] == "topics" {
		parts = []string{parts[1], parts[3]}
	}
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" || strings.ContainsAny(parts[0]+parts[1], ",?#% ") {
		return target{}, errors.New("names no topic, such as gcppubsub://projects/my-project/topics/deep-image")
	}
	made.topic = "projects/" + parts[0] + "/topics/" + parts[1]
	return made, address.Parameters.Err()
}

func isEndpoint(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Hostname() != "" && parsed.User == nil
}

// isEmulator reports whether no credentials are sent: they are never sent without encryption.
func (t target) isEmulator() bool { return strings.HasPrefix(t.endpoint, "http://") }
