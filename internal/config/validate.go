package config

import (
	"errors"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

const (
	sqliteScheme = "sqlite://"

	minTokenLength = 16  // characters; 64 bits at the very least when they are random hexadecimal digits
	maxTokenLength = 512 // characters; it is part of a URL
	maxTokens      = 20  // each is compared with what every callback carries
)

// validate checks what no single tag can say.
func (c *Config) validate(definitions []handler.Definition, faults *Faults) {
	c.DataDir = absolute(c.DataDir)
	c.validateDatabase(faults)
	c.validateTokens(faults)
	c.validateHandlers(definitions, faults)
	c.validatePublicURL(faults)
	c.validateTrust(faults)
	c.validateListenAddr(faults)
	spec := reflect.ValueOf(c).Elem()
	for i := range spec.NumField() {
		if section, ok := spec.Type().Field(i).Tag.Lookup("section"); ok {
			faults.addConflict(prefix+section, spec.Field(i))
		}
	}
}

func (c *Config) validateDatabase(faults *Faults) {
	const name, directName = prefix + "DATABASE_URL", prefix + "DATABASE_DIRECT_URL"
	text := c.Database.URL.Reveal()
	scheme, rest, _ := strings.Cut(text, "://")
	switch {
	case c.Database.URL.IsZero():
	case c.Database.IsPostgres():
		if err := database.CheckPostgres(c.Database.URL); err != nil {
			faults.add(name, "%s", err)
		}
		if len(c.WebhookTokens) == 0 {
			faults.add(prefix+"WEBHOOK_TOKENS", "must be set when the events are in Postgres, because all replicas need the same")
		}
	case scheme != "sqlite" || !strings.HasPrefix(text, sqliteScheme):
		faults.add(name, "must be %s and a folder, such as %s/var/lib/receiver, or postgres://user:password@host/database", sqliteScheme, sqliteScheme)
	case rest == "":
		faults.add(name, "names no folder after %s", sqliteScheme)
	case strings.ContainsAny(rest, "?#"):
		faults.add(name, "must be %s and a folder alone, without options", sqliteScheme)
	}
	c.validateDirectURL(directName, faults)
}

func (c *Config) validateDirectURL(name string, faults *Faults) {
	if c.Database.DirectURL.IsZero() {
		return
	}
	if !c.Database.IsPostgres() {
		faults.add(name, "goes with a DATABASE_URL that names a Postgres database")
		return
	}
	if err := database.CheckPostgres(c.Database.DirectURL); err != nil {
		faults.add(name, "%s", err)
	}
}

func (c *Config) validateTokens(faults *Faults) {
	name := c.tokensVariable()
	if len(c.WebhookTokens) > maxTokens {
		faults.add(name, "has %d tokens, and may have at most %d", len(c.WebhookTokens), maxTokens)
		return
	}
	for i, token := range c.WebhookTokens {
		if err := checkToken(token.Reveal()); err != nil {
			faults.add(name, "has a token, number %d, that %s", i+1, err)
		}
	}
}

// tokensVariable is the variable that the tokens came from.
func (c *Config) tokensVariable() string {
	const name = prefix + "WEBHOOK_TOKENS"
	if _, inFile := os.LookupEnv(name + fileSuffix); inFile {
		return name + fileSuffix
	}
	return name
}

// checkToken says what is wrong with a token; the error goes on from "a token that".
func checkToken(token string) error {
	switch {
	case len(token) < minTokenLength:
		return errors.New("has " + strconv.Itoa(len(token)) + " characters; it needs at least " + strconv.Itoa(minTokenLength))
	case len(token) > maxTokenLength:
		return errors.New("has " + strconv.Itoa(len(token)) + " characters; it may have at most " + strconv.Itoa(maxTokenLength))
	case !sanitize.IsPlainASCII(token):
		return errors.New("holds a space or a character that is not plain ASCII")
	default:
		return nil
	}
}

func (c *Config) validateHandlers(definitions []handler.Definition, faults *Faults) {
	const name = prefix + "HANDLERS"
	var known []string
	for _, d := range definitions {
		known = append(known, d.Name)
	}
	for i, wanted := range c.HandlerNames {
		switch {
		case !slices.Contains(known, wanted):
			faults.add(name, "names %s, which is no handler; there is %s", quote(wanted), enumerate(known, "and"))
		case slices.Contains(c.HandlerNames[:i], wanted):
			faults.add(name, "names %s twice", quote(wanted))
		}
	}
}

func (c *Config) validatePublicURL(faults *Faults) {
	const name = prefix + "PUBLIC_URL"
	if c.PublicURL == "" {
		return
	}
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Host == "":
		faults.add(name, "must be a whole URL such as https://hooks.example.com")
	case u.Scheme != "https" && (u.Scheme != "http" || !configtypes.IsLoopback(u.Hostname())):
		faults.add(name, "must begin with https://, because the token of every callback travels through it; http:// is for loopback only")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		faults.add(name, "must be an address alone, without user, query and fragment")
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
}

// enumerate writes "a", "a or b", "a, b or c".
func enumerate(items []string, conjunction string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " " + conjunction + " " + items[last]
}
