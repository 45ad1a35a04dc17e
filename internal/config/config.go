// Package config reads the environment into the configurations of all packages, reports all errors at once, and describes
// every variable.
package config

import (
	"reflect"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/deepimage-receiver/receiver/internal/webhook"
)

// prefix begins the name of every variable.
const prefix = "RECEIVER_"

// Config is the whole configuration. A field with an envconfig tag is a variable, named by prefix, section and tag. A field
// with a section tag holds the variables of a package. The unset tag is the meaning of a variable without a default that is
// not set. The tag empty:"refused" marks an allow-list, whose empty value is an error.
type Config struct {
	DataDir            string           `envconfig:"DATA_DIR" default:"./data" desc:"folder of the databases, images and the generated token, unless other variables name other places"`
	WebhookTokens      secret.List      `envconfig:"WEBHOOK_TOKENS" unset:"generated at the first start, stored in DATA_DIR/webhook-token" desc:"tokens that callbacks may carry, each of at least 16 characters; several for rotation"`
	HandlerNames       configtypes.List `envconfig:"HANDLERS" default:"download" desc:"handlers that run for each event; forward and publish wait for a download that is named before them, and not for each other"`
	PublicURL          string           `envconfig:"PUBLIC_URL" desc:"public https URL of the receiver, such as https://hooks.example.com"`
	MinFreeBytes       configtypes.Size `envconfig:"MIN_FREE_BYTES" default:"256MiB" range:"1MiB..1TiB" desc:"free bytes on the disk of DATA_DIR below which the receiver is not ready and callbacks get 503"`
	MaxUnverifiedBytes configtypes.Size `envconfig:"MAX_UNVERIFIED_BYTES" default:"1GiB" range:"1MiB..1TiB" desc:"maximum bytes of stored callbacks that Deep Image has not confirmed, quarantined ones included, and a quarter of it for each client IP; beyond it callbacks of more than 64 KiB get 503; smaller ones may take as much for each client IP, whatever others have; without verification there is no such limit"`
	Verify             Verify           `envconfig:"VERIFY" default:"auto" range:"auto|off|required" desc:"verify every job with Deep Image and use its result link: auto if DEEPIMAGE_API_KEY is set, required fails the start without it"`
	DeleteAfterDone    bool             `envconfig:"DELETE_AFTER_DONE" default:"false" desc:"delete the images of a job at Deep Image when all handlers are done; needs DEEPIMAGE_API_KEY, verification and a handler that stores the images"`
	ShutdownDelay      time.Duration    `envconfig:"SHUTDOWN_DELAY" default:"5s" range:"0s..5m" desc:"time after SIGTERM in which callbacks are still accepted while /readyz answers 503, so that proxies lose none; more than the health checks of a proxy take"`
	ShutdownTimeout    time.Duration    `envconfig:"SHUTDOWN_TIMEOUT" default:"30s" range:"1s..1h" desc:"time for running work to finish when the receiver stops, after SHUTDOWN_DELAY"`

	HTTP      httpserver.Config `section:""`
	Admin     admin.Config      `section:"ADMIN_"`
	Webhook   webhook.Config    `section:"WEBHOOK_"`
	Log       telemetry.Config  `section:"LOG_"`
	Database  database.Config   `section:"DATABASE_"`
	Inbox     inbox.Config      `section:"INBOX_"`
	Queue     queue.Config      `section:"QUEUE_"`
	Retry     executor.Config   `section:"RETRY_"`
	Fetch     fetch.Config      `section:"FETCH_"`
	DeepImage deepimage.Config  `section:"DEEPIMAGE_"`
	Reconcile reconcile.Config  `section:"RECONCILE_"`
	Retention retention.Config  `section:"RETENTION_"`

	// Handlers are the enabled handlers in the order of HandlerNames.
	Handlers []Handler

	// Variables are all variables with their values, to be shown; secrets are redacted.
	Variables []Variable
}

// Handler is an enabled handler and its configuration, of the type that Definition.New takes.
type Handler struct {
	Definition handler.Definition
	Config     handler.Config
}

// Steps returns the steps of an event for the handler.
func (h Handler) Steps() []handler.Step { return h.Definition.Steps(h.Config) }

// Needs returns the names of the handlers that this one waits for.
func (h Handler) Needs() []string { return h.Definition.Needs(h.Config) }

// StepNames returns the names of all steps in the order of the handlers.
func (c Config) StepNames() []string {
	var names []string
	for _, h := range c.Handlers {
		for _, step := range h.Steps() {
			names = append(names, step.Name)
		}
	}
	return names
}

// Load reads the environment. definitions are all handlers. The error is *ValidationErrors. With an error the configuration
// still holds the valid variables, for commands that need only some, and zero values or defaults for the others.
func Load(definitions []handler.Definition) (Config, error) {
	var c Config
	var errs ValidationErrors
	read(variablesOf(prefix, reflect.ValueOf(&c).Elem()), &errs)
	c.readPort(&errs)
	c.readHandlers(definitions, &errs)
	c.validate(definitions, &errs)
	errs.addUnknown(knownNames(definitions))
	c.Variables = Table(definitions)
	if len(errs.list) > 0 {
		return c, &errs
	}
	return c, nil
}

// readHandlers reads the configurations of the enabled handlers. Those of the others may have errors.
func (c *Config) readHandlers(definitions []handler.Definition, errs *ValidationErrors) {
	for _, name := range c.HandlerNames {
		definition, ok := find(definitions, name)
		if !ok || c.enabled(name) {
			continue // validate reports it
		}
		c.Handlers = append(c.Handlers, readHandler(definition, func(handler.Config) {}, errs))
	}
}

// LoadHandler reads the variables of one handler, enabled or not. change may set values before they are validated together.
// The error is *ValidationErrors.
func LoadHandler(definition handler.Definition, change func(handler.Config)) (Handler, error) {
	var errs ValidationErrors
	made := readHandler(definition, change, &errs)
	if len(errs.list) > 0 {
		return Handler{}, &errs
	}
	return made, nil
}

func readHandler(definition handler.Definition, change func(handler.Config), errs *ValidationErrors) Handler {
	own := definition.NewConfig()
	section := reflect.ValueOf(own).Elem()
	read(variablesOf(handlerPrefix(definition.Name), section), errs)
	change(own)
	errs.addConflict(handlerPrefix(definition.Name), section)
	return Handler{Definition: definition, Config: own}
}

func (c *Config) enabled(name string) bool {
	for _, h := range c.Handlers {
		if h.Definition.Name == name {
			return true
		}
	}
	return false
}

func handlerPrefix(name string) string { return prefix + strings.ToUpper(name) + "_" }

func find(definitions []handler.Definition, name string) (handler.Definition, bool) {
	for _, d := range definitions {
		if d.Name == name {
			return d, true
		}
	}
	return handler.Definition{}, false
}
