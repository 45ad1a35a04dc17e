package forward

import (
	"fmt"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// The modes: what is sent to a target.
const (
	ModeEvent = "event" // the JSON document
	ModeImage = "image" // a form with the document and the images
	ModeRaw   = "raw"   // the single image, with the document in a header
)

// Config sets where and how events are sent.
type Config struct {
	URLs            secret.List      `envconfig:"URLS" item:"(?i:[a-z0-9_-]+=)?(?i:https?)://" desc:"target URLs; each is a step with its own queue and circuit breaker, and may have a name in front, as in crm=https://crm.example.com/hook; separated by commas, or one a line"`
	Mode            string           `envconfig:"MODE" default:"event" range:"event|image|raw" desc:"what is sent: event is a JSON document, image a form (multipart/form-data) with document and images, raw the single image with the document in a header"`
	Secrets         secret.List      `envconfig:"SECRETS" unset:"requests are not signed" desc:"whsec_ secrets that sign requests (Standard Webhooks); each one signs, for rotation"`
	Headers         secret.List      `envconfig:"HEADERS" item:"[A-Za-z0-9_-]+:" desc:"headers of every request, each as Name: value; separated by commas, or one a line"`
	BearerToken     secret.Value     `envconfig:"BEARER_TOKEN" desc:"token of every request, as Authorization: Bearer"`
	CertFile        string           `envconfig:"CERT_FILE" desc:"PEM file of the client certificate for targets that demand one, with its chain; read for each connection"`
	KeyFile         string           `envconfig:"KEY_FILE" desc:"PEM file of the key of CERT_FILE"`
	AllowHTTP       bool             `envconfig:"ALLOW_HTTP" default:"false" desc:"allow plain http to other than private addresses"`
	Timeout         time.Duration    `envconfig:"TIMEOUT" default:"30s" range:"1s..10m" desc:"time for a target to respond, and to accept each piece of an image; a request with images may take half an hour"`
	Concurrency     int              `envconfig:"CONCURRENCY" default:"8" range:"1..256" desc:"concurrent requests to each target, per replica"`
	Rate            int              `envconfig:"RATE" default:"100" range:"1..10000" desc:"requests to each target per second, per replica"`
	CircuitFailures int              `envconfig:"CIRCUIT_FAILURES" default:"5" range:"1..1000" desc:"failed requests in a row that open the circuit breaker of a target; its steps are deferred and use no attempts"`
	CircuitPause    time.Duration    `envconfig:"CIRCUIT_PAUSE" default:"30s" range:"1s..1h" desc:"time until one request probes whether the target works again"`
	MaxBytes        configtypes.Size `envconfig:"MAX_BYTES" default:"1GiB" range:"1KiB..64GiB" desc:"largest image that is fetched to be sent, if download has not stored it"`
	MaxPixels       int64            `envconfig:"MAX_PIXELS" default:"500000000" range:"1..1000000000000" desc:"maximum number of pixels (width times height) of such an image"`
}

// transferTime is the longest attempt with images, including the time to get them.
const transferTime = 30 * time.Minute

// KeepsImages reports whether the targets get the images and not only their URLs.
func (c Config) KeepsImages() bool { return c.Mode != ModeEvent }

// Needs returns the handler whose images are sent or linked.
func (c Config) Needs() []string { return []string{handler.Download} }

// Limits returns the bounds of each target. Waiting for the rate limit does not count as time of the target.
func (c Config) Limits() handler.Limits {
	limits := handler.Limits{Concurrency: c.Concurrency, Timeout: c.Timeout + c.longestWait()}
	if c.Mode != ModeEvent {
		limits.Timeout = transferTime + c.longestWait()
	}
	return limits
}

// longestWait returns how long the last of all concurrent requests waits for the rate limit, plus a margin.
func (c Config) longestWait() time.Duration {
	const margin = 5 * time.Second
	return time.Duration(c.Concurrency)*time.Second/time.Duration(max(c.Rate, 1)) + margin
}

// Steps returns one step for each target.
func (c Config) Steps() []handler.Step {
	targets, err := c.targets()
	if err != nil {
		return nil // Validate reports it
	}
	steps := make([]handler.Step, len(targets))
	for i, t := range targets {
		steps[i] = handler.Step{Name: t.step, Limits: c.Limits()}
	}
	return steps
}

// Validate checks what the tags cannot.
func (c Config) Validate() error {
	if _, err := c.targets(); err != nil {
		return &configtypes.Conflict{Name: "URLS", Text: err.Error()}
	}
	if _, err := newSigner(c.Secrets); err != nil {
		return &configtypes.Conflict{Name: "SECRETS", Text: err.Error()}
	}
	if _, err := c.headers(); err != nil {
		return &configtypes.Conflict{Name: "HEADERS", Text: err.Error()}
	}
	if err := c.checkCertificate(); err != nil {
		return err
	}
	if !isHeaderValue(c.BearerToken.Reveal()) || strings.Contains(c.BearerToken.Reveal(), " ") {
		return &configtypes.Conflict{Name: "BEARER_TOKEN", Text: "holds a space or another character that no header can carry"}
	}
	return nil
}

// checkCertificate returns an error if the files of the client certificate cannot be used.
func (c Config) checkCertificate() error {
	switch {
	case c.CertFile == "" && c.KeyFile == "":
		return nil
	case c.KeyFile == "":
		return &configtypes.Conflict{Name: "CERT_FILE", Text: "needs KEY_FILE too"}
	case c.CertFile == "":
		return &configtypes.Conflict{Name: "KEY_FILE", Text: "needs CERT_FILE too"}
	}
	if err := c.certificate().Check(); err != nil {
		return &configtypes.Conflict{Name: "CERT_FILE", Text: "cannot be used together with KEY_FILE: " + err.Error()}
	}
	return nil
}

func (c Config) certificate() httpclient.ClientCertificate {
	return httpclient.ClientCertificate{CertFile: c.CertFile, KeyFile: c.KeyFile}
}

// maxTargets bounds the queues and connections.
const maxTargets = 32

// targets parses the URLs. The text of the error follows the name of the variable and contains no URL.
func (c Config) targets() ([]target, error) {
	switch {
	case len(c.URLs) == 0:
		return nil, fmt.Errorf("must name at least one address, such as https://example.com/hook, when the handler %s is enabled", Name)
	case len(c.URLs) > maxTargets:
		return nil, fmt.Errorf("has %d addresses, and may have at most %d", len(c.URLs), maxTargets)
	}
	targets := make([]target, 0, len(c.URLs))
	for i, item := range c.URLs {
		made, err := parseTarget(item.Reveal(), c.AllowHTTP)
		if err != nil {
			return nil, fmt.Errorf("has an address, number %d, that %w", i+1, err)
		}
		for j, other := range targets {
			if err := made.differs(other); err != nil {
				return nil, fmt.Errorf("has two addresses, numbers %d and %d, that %w", j+1, i+1, err)
			}
		}
		targets = append(targets, made)
	}
	return targets, nil
}
