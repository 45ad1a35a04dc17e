package archtest

import (
	"slices"
	"strings"
)

// Rules are the import rules of this repository.
func Rules() []Rule {
	return slices.Concat(layerRules(), handlerRules(), serviceRules(), visibilityRules(), libraryRules())
}

// tools know nothing of events: any other program could use them.
func tools() []string {
	return append(handlerTools(), "./internal/background", "./internal/groupcommit", "./internal/memory", "./internal/thumbnail")
}

// handlerTools are the tools that a handler may import.
func handlerTools() []string {
	return []string{
		"./internal/blobstore", "./internal/configtypes", "./internal/deepimage", "./internal/fetch", "./internal/filesystem",
		"./internal/httpclient", "./internal/imagefile", "./internal/lru", "./internal/sanitize", "./internal/secret", "./internal/sourcelimit",
		"./internal/telemetry",
	}
}

// core is everything behind the listeners.
func core() []string {
	return append(execution(), "./internal/inbox", "./internal/submit", "./internal/workflow/...", "./internal/history", "./internal/jobs",
		"./internal/database/...", "./internal/replay", "./internal/retention")
}

// execution is the part of the core that processes events.
func execution() []string {
	return []string{"./internal/relay", "./internal/queue", "./internal/migratedata", "./internal/executor", "./internal/handler/..."}
}

// layerRules order the layers: domain, tools, listeners, core.
func layerRules() []Rule {
	return []Rule{{
		Says:   "the domain imports the standard library and its JSON decoder only",
		Of:     []string{"./internal/event"},
		Forbid: []string{"..."},
		Allow:  []string{"std", "github.com/go-json-experiment/json/..."},
	}, {
		Says:   "tools import tools only",
		Of:     tools(),
		Forbid: []string{"./..."},
		Allow:  tools(),
	}, {
		Says:   "the notification document depends on the event only",
		Of:     []string{"./internal/notification"},
		Forbid: []string{"..."},
		Allow:  []string{"std", "./internal/event"},
	}, {
		Says:   "the public listener declares the methods it needs and never imports what implements them",
		Of:     []string{"./internal/webhook", "./internal/httpserver/...", "./internal/problem"},
		Forbid: core(),
		Deep:   true,
	}, {
		Says:   "the admin listener uses the stores and does not process events",
		Of:     []string{"./internal/admin"},
		Forbid: execution(),
	}}
}

// handlerRules bind the handlers and what they share.
func handlerRules() []Rule {
	shared := []string{"./internal/handler", "./internal/handler/builtin", "./internal/handler/handlertest"}
	allowed := append(handlerTools(), "./internal/handler", "./internal/event", "./internal/notification")
	return []Rule{{
		Says:   "a handler imports handler, event, notification and tools; never another handler or what runs it",
		Of:     []string{"./internal/handler/..."},
		Except: append(shared, "./internal/handler/publish/..."),
		Forbid: []string{"./..."},
		Allow:  allowed,
	}, {
		Says:   "publish is a handler that also imports its brokers",
		Of:     []string{"./internal/handler/publish"},
		Forbid: []string{"./..."},
		Allow:  append(allowed, "./internal/handler/publish/..."),
	}, {
		Says:   "a broker imports what brokers share, and no other broker",
		Of:     []string{"./internal/handler/publish/..."},
		Except: []string{"./internal/handler/publish", "./internal/handler/publish/brokertest"},
		Forbid: []string{"./..."},
		Allow: []string{
			"./internal/handler", "./internal/event", "./internal/httpclient", "./internal/sanitize", "./internal/secret",
			"./internal/handler/publish/broker",
		},
	}, {
		Says:   "the contract of handlers imports the event and tools only",
		Of:     []string{"./internal/handler"},
		Forbid: []string{"./..."},
		Allow:  append(handlerTools(), "./internal/event"),
	}}
}

// serviceRules bind the packages that carry and process events.
func serviceRules() []Rule {
	return []Rule{{
		Says:   "verification imports the contract of handlers and the vendor's API",
		Of:     []string{"./internal/verification"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/background", "./internal/handler", "./internal/event", "./internal/deepimage"},
	}, {
		Says:   "reconciliation imports the store's types and no handler",
		Of:     []string{"./internal/reconcile"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/background", "./internal/jobs", "./internal/event", "./internal/deepimage", "./internal/configtypes"},
	}, {
		Says:   "submission imports the store's types and the vendor's API",
		Of:     []string{"./internal/submit"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/background", "./internal/jobs", "./internal/event", "./internal/deepimage"},
	}, {
		Says:   "the executor imports neither relay nor database",
		Of:     []string{"./internal/executor"},
		Forbid: []string{"./internal/relay", "./internal/database/...", "./internal/telemetry"},
	}, {
		Says:   "the inbox does not import what processes events",
		Of:     []string{"./internal/inbox"},
		Forbid: []string{"./internal/relay", "./internal/workflow/...", "./internal/queue", "./internal/executor", "./internal/handler/..."},
		Deep:   true,
	}, {
		Says:   "the stores of the work database import neither inbox nor handlers",
		Of:     []string{"./internal/workflow/...", "./internal/history", "./internal/jobs", "./internal/queue", "./internal/database/..."},
		Forbid: []string{"./internal/inbox", "./internal/relay", "./internal/executor", "./internal/handler/..."},
		Deep:   true,
	}}
}

// visibilityRules list the packages that only a few others may import.
func visibilityRules() []Rule {
	return []Rule{{
		Says:   "only the builtin list imports handlers, and only commands import the list",
		Of:     []string{"./internal/..."},
		Except: []string{"./internal/handler/builtin", "./internal/handler/publish/..."},
		Forbid: []string{"./internal/handler/..."},
		Allow:  []string{"./internal/handler"},
	}, {
		Says: "only the wiring imports the listeners",
		Of:   []string{"./internal/..."},
		Except: []string{
			"./internal/adminclient", "./internal/app", "./internal/config", "./internal/webhook", "./internal/admin", "./internal/httpserver/...",
			"./internal/problem",
		},
		Forbid: []string{"./internal/webhook", "./internal/admin", "./internal/httpserver/..."},
	}, {
		Says:   "a package gets its own section of the configuration from the wiring",
		Of:     []string{"./internal/..."},
		Except: []string{"./internal/app", "./internal/preflight"},
		Forbid: []string{"./internal/config"},
	}, {
		Says:   "only commands import the wiring",
		Of:     []string{"./internal/..."},
		Forbid: []string{"./internal/app"},
	}, {
		Says: "test code serves commands and tests",
		Of:   []string{"./..."},
		Except: []string{
			"./cmd/...", "./internal/demo", "./internal/fakevendor/fakevendortest", "./internal/handler/handlertest", "./internal/loadtest",
			"./internal/testkit/...", "./internal/workflow/workflowtest",
		},
		Forbid: []string{
			"./api/apitest", "./internal/archtest", "./internal/blobstore/blobstoretest", "./internal/database/databasetest",
			"./internal/fakevendor/...", "./internal/faultfs", "./internal/handler/publish/brokertest", "./internal/loadtest", "./internal/testkit/...",
			"./internal/workflow/workflowtest",
		},
	}}
}

// libraryRules name the one place of each library.
func libraryRules() []Rule {
	return []Rule{
		onlyIn("github.com/riverqueue/...", "./internal/queue"),
		onlyIn("github.com/go-chi/chi/v5/...", "./internal/httpserver", "./internal/webhook", "./internal/admin"),
		onlyIn("github.com/kelseyhightower/envconfig", "./internal/config"),
		onlyIn("modernc.org/...", "./internal/database"),
		onlyIn("github.com/jackc/...", "./internal/database/...", "./internal/inbox", "./internal/queue"),
		onlyIn("github.com/spf13/...", "./cmd/receiver"),
		onlyIn("github.com/standard-webhooks/...", "./internal/handler/forward"),
		onlyIn("github.com/sony/gobreaker/...", "./internal/handler/forward"),
		onlyIn("github.com/nats-io/...", "./internal/handler/publish/nats"),
		onlyIn("github.com/twmb/franz-go/...", "./internal/handler/publish/kafka"),
		onlyIn("github.com/rabbitmq/...", "./internal/handler/publish/rabbitmq"),
		onlyIn("github.com/aws/...", "./internal/blobstore", "./internal/handler/publish/aws"),
		onlyIn("github.com/minio/...", "./internal/blobstore"),
		onlyIn("github.com/Azure/...", "./internal/blobstore"),
		onlyIn("golang.org/x/net/...", "./internal/fetch"),
		onlyIn("golang.org/x/oauth2/...", "./internal/blobstore", "./internal/handler/publish/googlepubsub"),
		onlyIn("github.com/johannesboyne/gofakes3/...", "./internal/blobstore/blobstoretest"),
		onlyIn("github.com/tsenart/vegeta/...", "./internal/loadtest"),
		onlyIn("github.com/HdrHistogram/...", "./internal/loadtest"),
		onlyIn("github.com/hanwen/go-fuse/...", "./internal/faultfs"),
		{
			Says:    "the metrics of a package are in one file",
			Of:      []string{"./..."},
			Except:  []string{"./internal/telemetry"},
			Forbid:  []string{"github.com/prometheus/..."},
			OneFile: true,
		},
		{
			Says: "tools and the domain return errors; the caller logs",
			Of: append(handlerTools(), "./internal/background", "./internal/groupcommit", "./internal/thumbnail", "./internal/event", "./internal/notification",
				"./internal/problem"),
			Except: []string{"./internal/telemetry"},
			Forbid: []string{"github.com/rs/zerolog/...", "log", "log/slog"},
		},
		{
			Says: "the logger is a parameter",
			Of:   []string{"./..."},
			Except: []string{
				"./internal/telemetry", "./internal/queue", "./internal/app", "./internal/fakevendor", "./internal/testkit/storetest",
				"./internal/workflow/workflowtest",
			},
			Forbid: []string{"log", "log/slog", "github.com/rs/zerolog/log"},
		},
		{
			Says:   "pure Go without unsafe, plugins and deprecated packages",
			Of:     []string{"./..."},
			Forbid: []string{"C", "unsafe", "plugin", "io/ioutil", "math/rand"},
		},
	}
}

// onlyIn fences a library: no package but users may import it.
func onlyIn(library string, users ...string) Rule {
	return Rule{
		Says:   "only " + strings.Join(users, " and ") + " may import it",
		Of:     []string{"./..."},
		Except: users,
		Forbid: []string{library},
	}
}
