# `make` lists the targets. They need Go; `make race` also needs a C compiler.

GO       ?= go
BINARY   ?= bin/receiver
FUZZTIME ?= 20s
BENCH    ?= .
COUNT    ?= 6
PACKAGES ?= ./...
SCENARIO ?= steady
TORTURE  ?= ^TestTorture
ROUNDS   ?= 200

# Version of the binary. The date is that of the commit, so that builds are reproducible.
VERSION ?= $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null))
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE    ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)

BUILD := github.com/deepimage-receiver/receiver/internal/telemetry
LDFLAGS    = -s -w -X $(BUILD).version=$(VERSION) -X $(BUILD).commit=$(COMMIT) -X $(BUILD).date=$(DATE)

.DEFAULT_GOAL := help
.PHONY: help demo run build test race fuzz bench load memory proof torture lint fmt check clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Receive callbacks from a fake Deep Image and store their images
	@$(BINARY) demo $(ARGS)

run: build ## Start the receiver with its data in ./data
	@$(BINARY) serve $(ARGS)

build: ## Build the static binary like the Dockerfile
	@echo "building $(BINARY)"
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o $(BINARY) ./cmd/receiver

test: ## Run all tests; print first which ones are skipped here
	@.ci/missing
	$(GO) test ./...

# Two packages at a time, so that a busy machine with two cores does not run into timeouts.
# Left out here and run by `make test` alone: the tests of internal/app over SQLite, which is Go and ten times slower under the race
# detector, and three of its tests with a browser or much load. The packages below it are tested over both databases. TestProxies runs
# programs that are built without the race detector, and counts what proxies refuse on a machine that is not busy.
SLOW_RACES := ^(TestDashboard|TestLostDoubledAndForgedCallbacks|TestTargetsAreIndependent)$$

race: ## Run the tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -p 2 -parallel 3 -timeout 20m -skip '^TestProxies$$' $(TESTFLAGS) $$($(GO) list ./... | grep -v '/internal/app$$')
	CGO_ENABLED=1 $(GO) test -race -parallel 3 -timeout 10m -skip '$(SLOW_RACES)|/^sqlite$$' $(TESTFLAGS) ./internal/app

fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@.ci/fuzz $(FUZZTIME)

bench: ## Run the benchmarks BENCH of PACKAGES, COUNT times, for benchstat
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 30m $(PACKAGES)

load: build ## Run the load test SCENARIO (steady); ARGS="-list" lists all
	@$(GO) run ./cmd/loadtest -binary $(BINARY) -scenario $(SCENARIO) $(ARGS)

memory: ## Measure peak memory with eight results of 200 MiB at once
	TMPDIR=$${TMPDIR:-/tmp} $(GO) test -count 1 -v -run TestMemoryStaysFlat ./cmd/receiver -args -image-mib 200

proof: ## Lose, repeat and forge callbacks of 2,000 jobs, with and without kill -9
	TMPDIR=$${TMPDIR:-/tmp} $(GO) test -count 1 -v -timeout 15m -p 1 -run '^(TestLostDoubledAndForgedCallbacks|TestKilledWhileCallbacksGetLost)$$' ./internal/app ./cmd/receiver -args -proof-jobs 2000

# Needs root, for mounts; what cannot be done is skipped.
torture: ## Kill, starve and cut off the program in ROUNDS (200) rounds; TORTURE selects tests
	$(GO) test -count 1 -tags torture ./internal/faultfs
	TMPDIR=$${TMPDIR:-/tmp} $(GO) test -count 1 -tags torture -v -timeout 30m -parallel 4 -run '$(TORTURE)' ./cmd/loadtest -args -rounds $(ROUNDS)

lint: ## Check code, Dockerfile, deployment files and workflows
	@tool=$$(.ci/tool golangci-lint) && "$$tool" config verify && "$$tool" run ./...
	@$(GO) test -C .ci/deploy-check -count 1 .
	@tool=$$(.ci/tool actionlint) && "$$tool" -shellcheck= -pyflakes= && echo "workflows pass actionlint"

fmt: ## Format the code
	@tool=$$(.ci/tool golangci-lint) && "$$tool" fmt ./...

check: ## Run everything that a change must pass, like CI
	@.ci/run

clean: ## Remove build results
	rm -rf bin dist
