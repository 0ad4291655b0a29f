GO ?= go
FUZZTIME ?= 30s

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20
test: ## the tests of both modules, which need nothing set up
	$(GO) test work
race: ## the same, under the race detector and in random order
	$(GO) test -race -shuffle=on work
lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet work
	$(GO) vet -tags e2e,gateway,official,providers,sources,proxies work
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./... ./cmd/gatehouse/...
vuln: ## known vulnerabilities; needs vuln.go.dev
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./... ./cmd/gatehouse/...
fuzz: ## every fuzz target for FUZZTIME each
	scripts/fuzz $(FUZZTIME)
bench: ## what sign-in costs, compared with other libraries
	cd bench && GOWORK=off $(GO) run .
bench-gateway: ## what the gateway costs, compared with a reverse proxy without sign-in; needs Linux
	cd bench && GOWORK=off $(GO) run . -only gateway -rounds 10
bench-upstream: ## the same for calls, with the changes to the go-sdk of docs/upstream.md
	scripts/bench-upstream
bench-packages: ## the benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchmem ./internal/token ./internal/keys .
oracles: ## other JOSE libraries and Project Wycheproof, compared with internal/token
	cd internal/difftest && GOWORK=off $(GO) test ./...
e2e: ## real clients over real sockets; needs Node 20, Python 3.11 and Chromium, installs the rest
	$(GO) test -tags e2e -count=1 -timeout 20m ./e2e/...
gateway: ## real clients through the gateway, at servers in Go, Python and TypeScript; needs what e2e needs, but no Chromium
	$(GO) test -tags e2e,gateway -count=1 -timeout 30m -run 'Gateway' ./e2e
providers: ## real authorization servers, signed into; needs Java 17, Maven, Node 20 and Python 3.11, installs the rest
	$(GO) test -tags providers -count=1 -timeout 40m ./e2e/providers/...
providers-sources: ## the same and servers that are built from a Git clone: Hydra v26, Dex, Supabase Auth; needs Git and PostgreSQL too
	$(GO) test -tags providers,sources -count=1 -timeout 60m ./e2e/providers/...
stores: ## several replicas, with real Redis, Valkey, PostgreSQL, nginx and HAProxy; needs Python 3.11, installs the rest if it runs as root
	@set -e; for module in store/redis store/postgres examples/webhook e2e/replicas; do (cd $$module && export GOWORK=off && \
		$(GO) vet -tags stores ./... && $(GO) test -tags stores -count=1 -timeout 20m -v ./...); done
	$(GO) vet -tags stores ./cmd/gatehouse && $(GO) test -tags stores -count=1 -run Revoke ./cmd/gatehouse
metrics: ## the dashboard and the alert rules with a real Prometheus; needs prometheus and promtool
	cd metrics/prometheus && GOWORK=off $(GO) test -count=1 ./...
	cd metrics/otel && GOWORK=off $(GO) test -count=1 ./...
	cd examples/metrics && GOWORK=off $(GO) vet -tags metrics ./... && GOWORK=off $(GO) test -tags metrics -count=1 -timeout 5m ./...
proxies: ## forward auth with nginx, Caddy, HAProxy, Envoy and Traefik; needs Python 3.11, installs the proxies
	$(GO) test -tags proxies -count=1 -timeout 40m ./e2e/proxies/...
deploy: ## the files of deploy: images, compose, chart, unit, proxies, release; needs Java 17 and openssl, installs the rest
	cd deploy/check && GOWORK=off $(GO) vet ./... && GOWORK=off $(GO) test -count=1 -timeout 90m ./...
deploy-golden: ## rewrite the golden files of deploy, and the schema of the chart's values
	cd deploy/check && GOWORK=off $(GO) test -run 'Golden|Schema' -update ./...
official: ## the official MCP conformance suite against a guarded server; needs npm
	$(GO) test -tags official -count=1 -timeout 15m ./conformance/official/...
golden: ## rewrite generated documentation and golden files
	$(GO) test . ./conformance -update
tidy: ## go mod tidy in every module
	scripts/tidy

.PHONY: help test race lint vuln fuzz bench bench-gateway bench-packages bench-upstream oracles e2e gateway metrics stores providers providers-sources proxies deploy deploy-golden official golden tidy
