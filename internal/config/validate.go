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
	maxTokens      = 20  // each is compared with the token of every callback
)

// validate checks what the tags of single variables do not express.
func (c *Config) validate(definitions []handler.Definition, errs *ValidationErrors) {
	c.DataDir = absolute(c.DataDir)
	c.validateDatabase(errs)
	c.validateTokens(errs)
	c.validateHandlers(definitions, errs)
	c.validatePublicURL(errs)
	c.validateVerification(errs)
	c.validateListenAddr(errs)
	spec := reflect.ValueOf(c).Elem()
	for i := range spec.NumField() {
		if section, ok := spec.Type().Field(i).Tag.Lookup("section"); ok {
			errs.addConflict(prefix+section, spec.Field(i))
		}
	}
}

func (c *Config) validateDatabase(errs *ValidationErrors) {
	const name, directName = prefix + "DATABASE_URL", prefix + "DATABASE_DIRECT_URL"
	text := c.Database.URL.Reveal()
	scheme, rest, _ := strings.Cut(text, "://")
	switch {
	case c.Database.URL.IsZero():
	case c.Database.IsPostgres():
		if err := database.CheckPostgres(c.Database.URL); err != nil {
			errs.add(name, "%s", err)
		}
		if len(c.WebhookTokens) == 0 {
			errs.add(prefix+"WEBHOOK_TOKENS", "must be set for a Postgres database, because all replicas need the same tokens")
		}
	case scheme != "sqlite" || !strings.HasPrefix(text, sqliteScheme):
		errs.add(name, "must be %s and a folder, such as %s/var/lib/receiver, or postgres://user:password@host/database", sqliteScheme, sqliteScheme)
	case rest == "":
		errs.add(name, "has no folder after %s", sqliteScheme)
	case strings.ContainsAny(rest, "?#"):
		errs.add(name, "must be %s and a folder alone, without options", sqliteScheme)
	}
	c.validateDirectURL(directName, errs)
}

func (c *Config) validateDirectURL(name string, errs *ValidationErrors) {
	if c.Database.DirectURL.IsZero() {
		return
	}
	if !c.Database.IsPostgres() {
		errs.add(name, "needs a DATABASE_URL of a Postgres database")
		return
	}
	if err := database.CheckPostgres(c.Database.DirectURL); err != nil {
		errs.add(name, "%s", err)
	}
}

func (c *Config) validateTokens(errs *ValidationErrors) {
	name := c.tokensVariable()
	if len(c.WebhookTokens) > maxTokens {
		errs.add(name, "has %d tokens, and may have at most %d", len(c.WebhookTokens), maxTokens)
		return
	}
	for i, token := range c.WebhookTokens {
		if err := checkToken(token.Reveal()); err != nil {
			errs.add(name, "has a token, number %d, that %s", i+1, err)
		}
	}
}

// tokensVariable returns the variable of the tokens.
func (c *Config) tokensVariable() string {
	const name = prefix + "WEBHOOK_TOKENS"
	if _, inFile := os.LookupEnv(name + fileSuffix); inFile {
		return name + fileSuffix
	}
	return name
}

// checkToken returns what is wrong with a token. The error continues "a token that".
func checkToken(token string) error {
	switch {
	case len(token) < minTokenLength:
		return errors.New("has " + strconv.Itoa(len(token)) + " characters; it needs at least " + strconv.Itoa(minTokenLength))
	case len(token) > maxTokenLength:
		return errors.New("has " + strconv.Itoa(len(token)) + " characters; it may have at most " + strconv.Itoa(maxTokenLength))
	case !sanitize.IsPlainASCII(token):
		return errors.New("contains white space or a character that is not plain ASCII")
	default:
		return nil
	}
}

func (c *Config) validateHandlers(definitions []handler.Definition, errs *ValidationErrors) {
	const name = prefix + "HANDLERS"
	var known []string
	for _, d := range definitions {
		known = append(known, d.Name)
	}
	for i, wanted := range c.HandlerNames {
		switch {
		case !slices.Contains(known, wanted):
			errs.add(name, "names %s, which is not a handler; the handlers are %s", quote(wanted), enumerate(known, "and"))
		case slices.Contains(c.HandlerNames[:i], wanted):
			errs.add(name, "names %s twice", quote(wanted))
		}
	}
}

func (c *Config) validatePublicURL(errs *ValidationErrors) {
	const name = prefix + "PUBLIC_URL"
	if c.PublicURL == "" {
		return
	}
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Host == "":
		errs.add(name, "must be a whole URL such as https://hooks.example.com")
	case u.Scheme != "https" && (u.Scheme != "http" || !configtypes.IsLoopback(u.Hostname())):
		errs.add(name, "must begin with https://, because every callback carries a token; http:// is allowed for loopback only")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		errs.add(name, "must be a URL without user, query and fragment")
	case c.Fetch.Contact == "":
		c.Fetch.Contact = u.Scheme + "://" + u.Host
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
}

// enumerate returns "a", "a or b", "a, b or c".
func enumerate(items []string, conjunction string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " " + conjunction + " " + items[last]
}
