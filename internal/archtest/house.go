package archtest

import (
	"slices"
	"strings"
)

// HouseRules are the import rules of this repository.
func HouseRules() []Rule {
	return slices.Concat(layers(), handlers(), workers(), outside(), fences())
}

// tools know nothing of events: they could serve any other program.
func tools() []string {
	return append(handlerTools(), "./internal/groupcommit", "./internal/thumbnail")
}

// handlerTools are the tools that a handler may take up.
func handlerTools() []string {
	return []string{
		"./internal/blobstore", "./internal/telemetry", "./internal/deepimage", "./internal/fetch", "./internal/imagefile",
		"./internal/secret", "./internal/configtypes", "./internal/telemetry",
	}
}

// core is everything behind a door.
func core() []string {
	return []string{
		"./internal/inbox", "./internal/relay", "./internal/work", "./internal/queue", "./internal/database/...",
		"./internal/executor", "./internal/replay", "./internal/submit", "./internal/handler/...",
	}
}

// contract is what package handler and its relatives are, besides the handlers.
func contract() []string {
	return []string{"./internal/handler", "./internal/handler/builtin", "./internal/handler/handlertest"}
}

// layers say what the packages of each layer may know.
func layers() []Rule {
	return []Rule{{
		Says:   "the domain knows the standard library and its JSON decoder, nothing else",
		Of:     []string{"./internal/event"},
		Forbid: []string{"..."},
		Allow:  []string{"std", "github.com/go-json-experiment/json/..."},
	}, {
		Says:   "tools know nothing of us but other tools",
		Of:     tools(),
		Forbid: []string{"./..."},
		Allow:  tools(),
	}, {
		Says:   "what others are told of an event depends on the event only",
		Of:     []string{"./internal/notification"},
		Forbid: []string{"..."},
		Allow:  []string{"std", "./internal/event"},
	}, {
		Says:   "doors declare what they need and never know who answers",
		Of:     []string{"./internal/webhook", "./internal/admin", "./internal/httpserver/...", "./internal/problem"},
		Forbid: core(),
		Deep:   true,
	}}
}

// handlers say what a handler may know, and its contract.
func handlers() []Rule {
	return []Rule{{
		Says:   "a handler knows its contract, the event and tools; never another handler or what runs it",
		Of:     []string{"./internal/handler/..."},
		Except: append(contract(), "./internal/handler/publish/..."),
		Forbid: []string{"./..."},
		Allow:  append(handlerTools(), "./internal/handler", "./internal/event", "./internal/notification"),
	}, {
		Says:   "publish is a handler that knows its brokers besides",
		Of:     []string{"./internal/handler/publish"},
		Forbid: []string{"./..."},
		Allow: append(handlerTools(), "./internal/handler", "./internal/event", "./internal/notification",
			"./internal/handler/publish/..."),
	}, {
		Says:   "a broker knows what brokers have in common, and none of the others",
		Of:     []string{"./internal/handler/publish/..."},
		Except: []string{"./internal/handler/publish", "./internal/handler/publish/brokertest"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/handler", "./internal/event", "./internal/secret", "./internal/handler/publish/broker"},
	}, {
		Says:   "the contract of handlers knows the event and tools only",
		Of:     []string{"./internal/handler"},
		Forbid: []string{"./..."},
		Allow:  append(handlerTools(), "./internal/event"),
	}}
}

// workers say what those may know that carry events and work on them.
func workers() []Rule {
	return []Rule{{
		Says:   "who asks the vendor about events knows the contract of handlers and the vendor's API",
		Of:     []string{"./internal/verification"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/handler", "./internal/event", "./internal/deepimage"},
	}, {
		Says:   "who looks for lost callbacks knows stores by what they answer, and no handler",
		Of:     []string{"./internal/reconcile"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/work", "./internal/event", "./internal/deepimage", "./internal/configtypes"},
	}, {
		Says:   "who submits jobs knows stores by what they answer, and the vendor's API",
		Of:     []string{"./internal/submit"},
		Forbid: []string{"./..."},
		Allow:  []string{"./internal/work", "./internal/event", "./internal/deepimage"},
	}, {
		Says:   "the pipeline knows handlers by their contract, and stores by what they answer",
		Of:     []string{"./internal/executor"},
		Forbid: []string{"./internal/relay", "./internal/database/...", "./internal/telemetry"},
	}, {
		Says:   "the inbox knows nothing of what is done with events",
		Of:     []string{"./internal/inbox"},
		Forbid: []string{"./internal/relay", "./internal/work", "./internal/queue", "./internal/executor", "./internal/handler/..."},
		Deep:   true,
	}, {
		Says:   "the work store knows neither the inbox nor handlers",
		Of:     []string{"./internal/work", "./internal/queue", "./internal/database/..."},
		Forbid: []string{"./internal/inbox", "./internal/relay", "./internal/executor", "./internal/handler/..."},
		Deep:   true,
	}}
}

// outside says who is known to few.
func outside() []Rule {
	return []Rule{{
		Says:   "handlers are known to their list only, and the list to commands",
		Of:     []string{"./internal/..."},
		Except: []string{"./internal/handler/builtin", "./internal/handler/publish/..."},
		Forbid: []string{"./internal/handler/..."},
		Allow:  []string{"./internal/handler"},
	}, {
		Says: "doors are known to the wiring only",
		Of:   []string{"./internal/..."},
		Except: []string{
			"./internal/app", "./internal/config", "./internal/webhook", "./internal/admin", "./internal/httpserver/...", "./internal/problem",
		},
		Forbid: []string{"./internal/webhook", "./internal/admin", "./internal/httpserver/..."},
	}, {
		Says:   "configuration is handed down by the wiring, section by section",
		Of:     []string{"./internal/..."},
		Except: []string{"./internal/app"},
		Forbid: []string{"./internal/config"},
	}, {
		Says:   "the wiring is known to commands only",
		Of:     []string{"./internal/..."},
		Forbid: []string{"./internal/app"},
	}, {
		Says:   "stand-ins serve commands and tests",
		Of:     []string{"./..."},
		Except: []string{"./cmd/..."},
		Forbid: []string{
			"./api/apitest", "./internal/archtest", "./internal/blobstore/blobstoretest", "./internal/database/databasetest",
			"./internal/fakevendor", "./internal/handler/publish/brokertest",
		},
	}}
}

// fences say which packages of others are used where.
func fences() []Rule {
	return []Rule{
		fence("github.com/riverqueue/...", "./internal/queue"),
		fence("github.com/go-chi/chi/v5/...", "./internal/httpserver", "./internal/webhook", "./internal/admin"),
		fence("github.com/kelseyhightower/envconfig", "./internal/config"),
		fence("modernc.org/...", "./internal/database"),
		fence("go.yaml.in/yaml/...", "./api"),
		fence("github.com/jackc/...", "./internal/database/...", "./internal/inbox", "./internal/queue"),
		fence("github.com/spf13/...", "./cmd/receiver"),
		fence("github.com/standard-webhooks/...", "./internal/handler/forward"),
		fence("github.com/sony/gobreaker/...", "./internal/handler/forward"),
		fence("github.com/nats-io/...", "./internal/handler/publish/nats"),
		fence("github.com/twmb/franz-go/...", "./internal/handler/publish/kafka"),
		fence("github.com/rabbitmq/...", "./internal/handler/publish/rabbitmq"),
		fence("github.com/aws/...", "./internal/handler/publish/aws"),
		fence("github.com/minio/...", "./internal/blobstore"),
		fence("github.com/Azure/...", "./internal/blobstore"),
		fence("golang.org/x/oauth2/...", "./internal/blobstore", "./internal/handler/publish/googlepubsub"),
		fence("github.com/johannesboyne/gofakes3/...", "./internal/blobstore/blobstoretest"),
		{
			Says:   "metrics are in telemetry and in files named metrics.go",
			Of:     []string{"./..."},
			Except: []string{"./internal/telemetry"},
			Forbid: []string{"github.com/prometheus/..."},
			NotIn:  "metrics.go",
		},
		{
			Says: "returns errors and counts, and leaves logging to its caller",
			Of: append(handlerTools(), "./internal/groupcommit", "./internal/thumbnail", "./internal/event", "./internal/notification",
				"./internal/problem"),
			Except: []string{"./internal/telemetry"},
			Forbid: []string{"github.com/rs/zerolog/...", "log", "log/slog"},
		},
		{
			Says:   "one logger, handed in",
			Of:     []string{"./..."},
			Except: []string{"./internal/telemetry", "./internal/queue", "./internal/app", "./internal/fakevendor"},
			Forbid: []string{"log", "log/slog", "github.com/rs/zerolog/log"},
		},
		{
			Says:   "pure Go, within its memory safety, with today's standard library",
			Of:     []string{"./..."},
			Forbid: []string{"C", "unsafe", "plugin", "io/ioutil", "math/rand"},
		},
	}
}

func fence(library string, users ...string) Rule {
	return Rule{
		Says:   "only " + strings.Join(users, " and ") + " may use it",
		Of:     []string{"./..."},
		Except: users,
		Forbid: []string{library},
	}
}
