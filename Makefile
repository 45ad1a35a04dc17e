# `make` lists what can be made. Nothing is needed but Go, and a C compiler for `make race`.

GO       ?= go
BINARY   ?= bin/receiver
FUZZTIME ?= 20s
BENCH    ?= .
COUNT    ?= 6
PACKAGES ?= ./...

# What the binary says of itself; the commit's own date makes a build repeatable.
VERSION ?= $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null))
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE    ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)

BUILD := github.com/deepimage-receiver/receiver/internal/telemetry
LDFLAGS    = -s -w -X $(BUILD).version=$(VERSION) -X $(BUILD).commit=$(COMMIT) -X $(BUILD).date=$(DATE)

.DEFAULT_GOAL := help
.PHONY: help demo run build test race fuzz bench memory proof lint fmt check clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Watch callbacks of a fake Deep Image become stored images
	@$(BINARY) demo $(ARGS)

run: build ## Start the receiver; its data goes to ./data
	@$(BINARY) serve $(ARGS)

build: ## Build the static binary, as the Dockerfile does
	@echo "building $(BINARY)"
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o $(BINARY) ./cmd/receiver

test: ## Run all tests; says first what is left out because it is not installed here
	@.ci/missing
	$(GO) test ./...

# Left out of `make race`: the tests of cmd run the program as users get it, archtest runs the toolchain, and three tests of app have a browser or much
# load as their bulk, which the race detector makes ten times slower. It does so with SQLite too, which is Go: the tests of app are run on Postgres alone,
# those of the packages below it on both. All are in `make test`.
SLOW_RACES := ^(TestDashboard|TestLostDoubledAndForgedCallbacks|TestDeadTargetsDelayNobodyElse)$$
APP        := ./internal/app

race: ## Run the tests of all packages with the race detector
	CGO_ENABLED=1 $(GO) test -race -parallel 3 -timeout 8m $(TESTFLAGS) $$($(GO) list ./... | grep -vE '/cmd/receiver$$|/internal/archtest$$|/internal/app$$')
	CGO_ENABLED=1 $(GO) test -race -parallel 3 -timeout 8m -skip '$(SLOW_RACES)|/^sqlite$$' $(TESTFLAGS) $(APP)

fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@.ci/fuzz $(FUZZTIME)

bench: ## Run the benchmarks BENCH of PACKAGES, COUNT times, as benchstat reads them
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 30m $(PACKAGES)

memory: ## Measure the peak of memory with eight results of 200 MiB at once
	TMPDIR=$${TMPDIR:-/tmp} $(GO) test -count 1 -v -run TestMemoryStaysFlat ./cmd/receiver -args -image-mib 200

proof: ## Lose, double and forge the callbacks of 2,000 jobs with an API that fails, without and with kill -9, over both databases
	TMPDIR=$${TMPDIR:-/tmp} $(GO) test -count 1 -v -timeout 15m -p 1 -run '^(TestLostDoubledAndForgedCallbacks|TestKilledWhileCallbacksGetLost)$$' ./internal/app ./cmd/receiver -args -proof-jobs 2000

lint: ## Run the linters over code, Dockerfile, deploy files and workflow
	@tool=$$(.ci/tool golangci-lint) && "$$tool" config verify && "$$tool" run ./...
	@tool=$$(.ci/tool dockerfile-check) && "$$tool" Dockerfile
	@$(GO) test -C .ci/deploy-check -count 1 .
	@tool=$$(.ci/tool actionlint) && "$$tool" -shellcheck= -pyflakes= && echo "workflows pass actionlint"

fmt: ## Format the code
	@tool=$$(.ci/tool golangci-lint) && "$$tool" fmt ./...

check: ## Run all that a change must pass
	@.ci/run

clean: ## Remove what was built
	rm -rf bin dist
