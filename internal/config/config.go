// Package config reads the environment: it puts the sections of all packages
// together, says every fault at once, and describes every variable.
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
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/deepimage-receiver/receiver/internal/webhook"
)

// prefix begins the name of every variable.
const prefix = "RECEIVER_"

// Config is everything that can be set. A field with an envconfig tag is a
// variable, named by prefix, section and tag; a field with a section tag holds the
// variables of a package. For a variable without a default, unset says what is done then.
type Config struct {
	DataDir         string           `envconfig:"DATA_DIR" default:"./data" desc:"folder of everything that the embedded default keeps"`
	WebhookTokens   secret.List      `envconfig:"WEBHOOK_TOKENS" unset:"made at first start, kept in DATA_DIR/webhook-token" desc:"tokens that callbacks may carry, each of at least 16 characters; several for rotation"`
	HandlerNames    configtypes.List `envconfig:"HANDLERS" default:"download" desc:"what is done for an event, in this order"`
	PublicURL       string           `envconfig:"PUBLIC_URL" desc:"https address under which the outside reaches the receiver, such as https://hooks.example.com"`
	MinFreeBytes    configtypes.Size `envconfig:"MIN_FREE_BYTES" default:"256MiB" range:"1MiB..1TiB" desc:"room on the disk of DATA_DIR below which the receiver is not ready and callbacks get 503"`
	Verify          Verify           `envconfig:"VERIFY" default:"auto" range:"auto|off|required" desc:"whether Deep Image is asked about every job before anything is done for it, and its own address of the result used: auto is yes when DEEPIMAGE_API_KEY is set; required refuses to start without"`
	DeleteAfterDone bool             `envconfig:"DELETE_AFTER_DONE" default:"false" desc:"delete the images of a job at Deep Image when all handlers are done with it; needs DEEPIMAGE_API_KEY, verification, and a handler that keeps the images"`
	ShutdownTimeout time.Duration    `envconfig:"SHUTDOWN_TIMEOUT" default:"30s" range:"1s..1h" desc:"time that running work has to end when the receiver is told to stop"`

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

	// Handlers are the ones that HandlerNames names, in its order.
	Handlers []Handler

	// Variables are all of them with what is in force, for people to look at; secrets are hidden.
	Variables []Variable
}

// Handler is an enabled handler and its configuration, of the type that Definition.New takes.
type Handler struct {
	Definition handler.Definition
	Config     handler.Config
}

// Steps are those that an event goes through for the handler.
func (h Handler) Steps() []handler.Step { return h.Definition.Steps(h.Config) }

// StepNames are the names of all steps, in the order of the handlers.
func (c Config) StepNames() []string {
	var names []string
	for _, h := range c.Handlers {
		for _, step := range h.Steps() {
			names = append(names, step.Name)
		}
	}
	return names
}

// Load reads the environment. definitions are the handlers there are. The error is
// *Faults; beside it the configuration holds what could be read, for commands that
// need little of it, and the zero value or the default where a variable is at fault.
func Load(definitions []handler.Definition) (Config, error) {
	var c Config
	var faults Faults
	read(variablesOf(prefix, reflect.ValueOf(&c).Elem()), &faults)
	c.readPort(&faults)
	c.readHandlers(definitions, &faults)
	c.validate(definitions, &faults)
	faults.addUnknown(knownNames(definitions))
	c.Variables = Table(definitions)
	if len(faults.list) > 0 {
		return c, &faults
	}
	return c, nil
}

// readHandlers fills the configuration of the handlers that are enabled; those that are not may be at fault.
func (c *Config) readHandlers(definitions []handler.Definition, faults *Faults) {
	for _, name := range c.HandlerNames {
		definition, ok := find(definitions, name)
		if !ok || c.enabled(name) {
			continue // validate tells of it
		}
		c.Handlers = append(c.Handlers, readHandler(definition, func(handler.Config) {}, faults))
	}
}

// LoadHandler reads the variables of one handler alone, whether it is enabled or not. change may set
// what the environment does not say, before it is looked whether the variables go together. The error is *Faults.
func LoadHandler(definition handler.Definition, change func(handler.Config)) (Handler, error) {
	var faults Faults
	made := readHandler(definition, change, &faults)
	if len(faults.list) > 0 {
		return Handler{}, &faults
	}
	return made, nil
}

func readHandler(definition handler.Definition, change func(handler.Config), faults *Faults) Handler {
	own := definition.NewConfig()
	section := reflect.ValueOf(own).Elem()
	read(variablesOf(handlerPrefix(definition.Name), section), faults)
	change(own)
	faults.addConflict(handlerPrefix(definition.Name), section)
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
