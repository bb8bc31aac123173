.DEFAULT_GOAL := help
SHELL := /bin/sh

CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kamailio_exporter
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION)
GORELEASER_VERSION := v2.16.0
GORELEASER := $(CACHE)/bin/goreleaser-$(GORELEASER_VERSION)
CYCLONEDX_VERSION := v1.10.0
CYCLONEDX := $(CACHE)/bin/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME ?= 10m
SOAK ?= 1h
# As in .goreleaser.yaml.
MAINTAINER := kamailio_exporter maintainers <kamailio-exporter@users.noreply.github.com>

# The build date is the date of the commit, so that the same commit gives the same program.
version  := github.com/prometheus/common/version
revision := $(shell git rev-parse HEAD 2>/dev/null)
branch   := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
date     := $(shell TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
ldflags  := -s -w \
	-X $(version).Version=$(shell cat VERSION) \
	-X $(version).Revision=$(revision) \
	-X $(version).Branch=$(branch) \
	-X $(version).BuildDate=$(date)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build kamailio_exporter and kamrpc into bin/
	@echo "Building; the first build takes a few minutes."
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(ldflags)' -o bin/ ./cmd/...

.PHONY: run
run: build ## run the exporter with this machine's Kamailio or a temporary one; ARGS='-l :9495' sets flags
	@go build -o bin/lab ./internal/lab/cmd/lab
	@bin/lab run bin/kamailio_exporter $(ARGS)

.PHONY: demo
demo: build ## run a temporary Kamailio with traffic, the exporter, Prometheus with rules and alerts, and Alertmanager
	@go build -o bin/lab ./internal/lab/cmd/lab
	@bin/lab demo bin/kamailio_exporter $(CURDIR)/mixin

.PHONY: simulate
simulate: ## reply like many Kamailios for an hour; ARGS='-targets 1000 -target-file targets.yml', ARGS=-h lists all flags
	@go build -o bin/simulate ./internal/lab/cmd/simulate
	@bin/simulate $(ARGS)

.PHONY: check
check: lint ## run everything that needs no live server: format, linters, vet, tests, go.mod; takes about a minute
	go vet ./...
	go test -short ./...
	go mod tidy -diff

.PHONY: test
test: fetch lint ## run all checks: format, linters, vet, tests with the race detector and real servers, go.mod; takes about six minutes
	go vet ./...
	@$(MAKE) --no-print-directory --jobs 3 --output-sync test-race test-torture test-mixin
	go mod tidy -diff

# Four tests of a package run at the same time, more than the number of CPUs, because tests with a real Kamailio mostly wait.
.PHONY: test-race
test-race:
	go test -race -parallel 4 $$(go list ./... | grep -v /internal/torture)

# The race detector would slow down the hostile servers, which are in the test. Their exporter runs without it anyway.
.PHONY: test-torture
test-torture:
	go test ./internal/torture

.PHONY: test-mixin
test-mixin:
	cd mixin && go vet ./... && go test ./... && go mod tidy -diff

# The 32-bit architecture is one that this machine's CPU can run: 386 or arm.
.PHONY: test-platforms
test-platforms: ## run vet for other operating systems, and the tests without a Kamailio on a 32-bit architecture
	for os in darwin freebsd windows; do GOOS=$$os go vet ./... || exit 1; done
	CGO_ENABLED=0 GOARCH=$(if $(filter arm64,$(shell go env GOARCH)),arm,386) go test -short ./...

# It has the version in mixin/go.mod. Its own dependencies are not in that file.
.PHONY: prometheus
prometheus: ## build Prometheus 3 into bin/, a few minutes; PROMETHEUS=$PWD/bin/prometheus lets the tests use it
	@mkdir -p bin
	@cp mixin/go.mod bin/prometheus.mod && cp mixin/go.sum bin/prometheus.sum
	cd mixin && go build -modfile=$(CURDIR)/bin/prometheus.mod -mod=mod -tags remove_all_sd -o $(CURDIR)/bin/prometheus \
		github.com/prometheus/prometheus/cmd/prometheus

.PHONY: test-alerts
test-alerts: ## make faults in real Kamailios, and check that their alerts arrive at Alertmanager; PROMETHEUS names another Prometheus
	cd mixin && go test -count=1 -v -run '^TestLive$$' .

.PHONY: bench
bench: build ## measure the exporter with real Kamailios, about 20 minutes; ARGS='-run TestBench/cpu' or -quick for less
	@go test ./internal/bench -count=1 -v -timeout 1h -run '^TestBench$$' \
		-exporter $(CURDIR)/bin/kamailio_exporter -table $(CURDIR)/bin/bench.md $(ARGS)

.PHONY: bench-fleet
bench-fleet: build ## measure one exporter with up to 1,000 simulated targets, about 25 minutes, and write the table to docs/performance.md
	@go build -o bin/simulate ./internal/lab/cmd/simulate
	@rm -f bin/fleet.md
	@go test ./internal/bench -count=1 -v -timeout 1h -run '^TestFleet$$' -exporter $(CURDIR)/bin/kamailio_exporter \
		-simulate $(CURDIR)/bin/simulate -table $(CURDIR)/bin/fleet.md $(ARGS)
	sed -i -e '/^<!-- fleet -->/,/^<!-- \/fleet -->/{//!d}' -e '/^<!-- fleet -->/r bin/fleet.md' docs/performance.md

.PHONY: bench-docs
bench-docs: ## run make bench, and write the table to docs/performance.md
	@rm -f bin/bench.md
	-@$(MAKE) --no-print-directory bench
	@test -f bin/bench.md
	sed -i -e '/^<!-- bench -->/,/^<!-- \/bench -->/{//!d}' -e '/^<!-- bench -->/r bin/bench.md' docs/performance.md

.PHONY: screenshots
screenshots: ## make the pictures of the status page in docs/images with a real Kamailio and a headless Chromium
	go test ./internal/web -count=1 -run TestStatusPagesInBrowser -screenshots $(CURDIR)/docs/images

.PHONY: dashboard-pictures
dashboard-pictures: ## draw the Grafana dashboards into bin/dashboards, from a Prometheus beside a Kamailio with traffic
	@mkdir -p bin/dashboards
	go test ./docs -count=1 -run '^TestDraw$$' -draw $(CURDIR)/bin/dashboards

.PHONY: fetch
fetch: ## download the Kamailios and tools for the tests into the cache
	go run ./internal/lab/cmd/lab fetch

.PHONY: lint
lint: $(GOLANGCI) ## check the format, and run the linters
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then \
		echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	$(GOLANGCI) run

.PHONY: fmt
fmt: $(GOLANGCI) ## format the code
	$(GOLANGCI) fmt

.PHONY: dashboards
dashboards: ## write the Grafana dashboards in mixin/dashboards, and their ConfigMaps for Kubernetes
	cd mixin/dashboards && go run .
	cd packaging/kubernetes && go test -count=1 -run TestDashboards -update .

.PHONY: torture
torture: ## run the exporter with hostile servers, outages and load (SOAK, 1h by default), and each fuzz target for a minute
	go test -count=1 -v -timeout 1h ./internal/torture -long
	go test -count=1 -v -timeout 24h ./cmd/kamailio_exporter -run '^TestLoad$$' -soak $(SOAK)
	@$(MAKE) --no-print-directory fuzz FUZZTIME=1m

# Without -fuzzminimizetime, minimizing one input may take the whole time.
.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME, 10m by default
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10s $$package || exit 1; \
		done; \
	done

# The test checks the list of survivors first.
.PHONY: mutate
mutate: ## change each operator of some packages and check that a test fails, about an hour; internal/mutation lists exceptions
	go test -run '^TestSurvivors$$' ./internal/mutation
	go run ./internal/mutation rpc/binrpc rpc/jsonrpc internal/metric internal/config

# GoReleaser runs it. advise.sh is the first part of the scripts that run after an installation.
.PHONY: package-files
package-files: ## write manual pages, completion scripts, changelog and scripts for the packages to bin/package; needs VERSION and DATE
	@mkdir -p bin/package/completion/bash bin/package/completion/zsh
	@for program in kamailio_exporter kamrpc; do \
		go run ./cmd/$$program --help-man >bin/package/$$program.1 && \
		go run ./cmd/$$program --completion-script-bash >bin/package/completion/bash/$$program && \
		go run ./cmd/$$program --completion-script-zsh >bin/package/completion/zsh/_$$program || exit 1; done
	@awk -f packaging/notes.awk CHANGELOG.md | awk -v version='$(subst -,~,$(VERSION))' -v maintainer='$(MAINTAINER)' \
		-v date="$$(date --utc --rfc-email --date='$(DATE)')" -f packaging/debian-changelog.awk >bin/package/changelog
	@gzip -9nf bin/package/kamailio_exporter.1 bin/package/kamrpc.1 bin/package/changelog
	@for script in deb-postinst rpm-post apk-post-install; do \
		cat packaging/scripts/advise.sh packaging/scripts/$$script.sh >bin/package/$$script.sh || exit 1; done

.PHONY: release-snapshot
release-snapshot: $(GORELEASER) $(CYCLONEDX) ## build a release in dist/, without container image and signatures
	$(GORELEASER) check
	PATH="$(dir $(CYCLONEDX)):$$PATH" $(GORELEASER) release --snapshot --clean --skip=docker,sign

.PHONY: release
release: $(GORELEASER) $(CYCLONEDX) ## build and publish the release of a tag; .github/workflows/release.yml runs it
	@mkdir -p bin
	awk -f packaging/notes.awk CHANGELOG.md > bin/notes.md
	PATH="$(dir $(CYCLONEDX)):$$PATH" $(GORELEASER) release --clean --release-notes bin/notes.md

.PHONY: test-release
test-release: release-snapshot ## test archives, packages, units, manifests and workflows; as root, also install the deb
	go run $(ACTIONLINT)
	cd packaging/kubernetes && go vet ./... && go test ./... && go mod tidy -diff
	cd mixin/dashboards && go vet ./... && go test ./... && go mod tidy -diff
	go test -count=1 -timeout 40m ./packaging -dist $(CURDIR)/dist -goreleaser $(GORELEASER)

.PHONY: vulncheck
vulncheck: ## look up known vulnerabilities of the dependencies at vuln.go.dev
	go run $(GOVULNCHECK) ./...

.PHONY: clean
clean: ## remove bin/ and dist/, but not the cache
	rm -rf bin dist

# The program is moved to its place after a complete build, so that an interrupted build leaves no broken program.
$(GOLANGCI):
	@mkdir -p $(@D)
	@echo "Building golangci-lint; this takes a few minutes the first time."
	GOBIN=$(@D)/building go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(@D)/building/golangci-lint $@ && rmdir $(@D)/building

$(GORELEASER):
	@mkdir -p $(@D)
	@echo "Building GoReleaser; this takes a few minutes the first time."
	GOBIN=$@.building go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)
	@mv $@.building/goreleaser $@ && rmdir $@.building

$(CYCLONEDX):
	GOBIN=$(@D) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
