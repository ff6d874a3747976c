# Everything that is built, checked and shown. `make help` lists the targets.
#
# Needed: Go, git and make. What else a target needs it builds from .tools or
# takes from Debian's packages, into bin/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Compilers fill the machine by themselves; one recipe at a time.
.NOTPARALLEL:

# How many runs each property of rollouts gets in `make test`, and each other one.
RAPID_CHECKS ?= 10000
RAPID_OTHERS ?= 1000
# Where the properties begin to draw, so that one commit has one verdict: the runs of
# rollouts are shared among these, the others draw from the first. 0 draws others each
# time: make properties RAPID_SEEDS=0
RAPID_SEEDS ?= 1 2 3
RAPID_SHARE = $$(( ($(RAPID_CHECKS) + $(words $(RAPID_SEEDS)) - 1) / $(words $(RAPID_SEEDS)) ))
# How many runs they get each night, from seeds of chance, and whether the scenarios
# that take minutes are run: make e2e NIGHTLY=1
NIGHTLY_CHECKS ?= 100000
NIGHTLY ?=
# How long each fuzz target runs in `make test`, and each night. Two run at a time: a
# dozen targets of a minute take six minutes, and a few more to be compiled.
FUZZTIME ?= 60s
NIGHTLY_FUZZTIME ?= 5m
# Keep the cluster of `make demo` until Ctrl-C: make demo KEEP=1
KEEP ?=
# What `make bench` and `make e2e` run.
BENCH ?= .
RUN ?= .

# The race detector needs cgo.
RACE = $(shell command -v "$$(go env CC)" >/dev/null && echo -race)

# The version of Kubernetes that bin/minicluster is built from and reports.
KUBERNETES := v1.36.3

# golangci-lint remembers findings by the path of the checkout they were found
# in: two checkouts with one cache show each other's.
export GOLANGCI_LINT_CACHE := $(CURDIR)/bin/lint-cache

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# The time of the commit, so that one commit gives one binary.
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)

LINK := -s -w
ROLLCALL_LINK := $(LINK) -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
kubernetes_version = -X $(1).gitVersion=$(KUBERNETES) \
	-X $(1).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES:v%=%))) -X $(1).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES))) \
	-X $(1).gitCommit=unknown -X $(1).gitTreeState=clean -X $(1).buildDate=1970-01-01T00:00:00Z
MINICLUSTER_LINK := $(LINK) $(call kubernetes_version,k8s.io/component-base/version) $(call kubernetes_version,k8s.io/client-go/pkg/version)

# Not -trimpath below e2e: go test would compile all of Kubernetes once more.

# What the binaries are made of: they are linked again only when this changes.
SOURCES := go.mod go.sum $(shell find apply cmd diff health sync -name '*.go' ! -name '*_test.go')
E2E_SOURCES := $(shell find e2e -type f ! -name '*_test.go' ! -path '*/testdata/*' ! -path 'e2e/peers/*')
PEERS_SOURCES := $(shell find e2e/peers -type f ! -name '*_test.go')
MINICLUSTER_SOURCES := $(filter-out e2e/cmd/demo/% e2e/cmd/reads/% e2e/gitserver/% e2e/product/%,$(E2E_SOURCES))
# The packages whose tests draw their cases, and so know the flag -rapid.checks.
PROPERTIES = $(shell grep -rl --include='*_test.go' pgregory.net/rapid apply cmd diff health sync | xargs -n 1 dirname | sort -u | sed 's|^|./|')
# Of those in apply/rollout, the ones that draw. Not by -short, with which rapid draws
# a fifth of what it is asked for.
STORIES := ^Test(PromisesHold|CrashesDoNot|FingerFinds|DecideIsPure|SkippingTime|EveryPrefix|SpreadIs|SpreadDepends)
# The fuzz targets, as PACKAGE:NAME.
FUZZ = $(shell grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' apply cmd diff health sync | sed 's|/[^/]*:func |:|' | sort)
GENERATED := charts/rollcall/crds sync/v1alpha1/zz_generated.deepcopy.go

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/rollcall bin/kubectl-rollcall bin/minicluster ## Build rollcall, the kubectl plugin and the test cluster into bin/

.PHONY: demo
demo: build bin/demo ## Watch a bad commit stop at its canaries on a real control plane (KEEP=1 leaves the cluster up)
	bin/demo $(if $(KEEP),--keep)

.PHONY: test
test: lint unit properties alerts fuzz e2e ## Everything CI runs
	@echo 'make test: lint, unit tests, $(RAPID_CHECKS) runs of each property, alerts, $(FUZZTIME) of each fuzz target and e2e are OK'

.PHONY: unit
unit: bin/sshd bin/gpg bin/ssh-keygen ## Run the tests of the root module, with the race detector where there is a C compiler
	go test $(RACE) $(SHUFFLE) ./...

.PHONY: properties
properties: ## Run each property of rollouts RAPID_CHECKS times, shared among RAPID_SEEDS, and the others RAPID_OTHERS times
	go test -count=1 -timeout 60m $(filter-out ./apply/rollout,$(PROPERTIES)) -rapid.checks=$(RAPID_OTHERS) -rapid.seed=$(firstword $(RAPID_SEEDS))
	go test -c -o bin/stories.test ./apply/rollout
	cd apply/rollout && printf '%s\n' $(RAPID_SEEDS) | xargs -P 2 -I SEED ../../bin/stories.test -test.timeout 600m \
		-test.run '$(STORIES)' -rapid.checks=$(RAPID_SHARE) -rapid.seed=SEED

# What fuzzing finds it writes to testdata/fuzz of the package: commit that with the fix.
.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME, two at a time
	@printf '%s\n' $(FUZZ) | xargs -P 2 -I TARGET bash -c 'target=TARGET; \
		if said=$$(go test -run "^$$" -fuzz "^$${target#*:}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s -parallel 1 "./$${target%:*}" 2>&1); \
		then echo "$$target: $$(grep -o "execs: [0-9]*" <<< "$$said" | tail -n 1)"; else echo "$$target:"; echo "$$said"; exit 1; fi'

.PHONY: alerts
alerts: bin/promtool ## Prove that every alert of the chart fires and clears
	bin/promtool check rules charts/rollcall/alerts.yaml
	bin/promtool test rules charts/rollcall/tests/alerts_test.yaml

.PHONY: e2e
e2e: build bin/sshd bin/ssh-keygen ## Run the scenarios on real clusters (RUN=regexp picks some, NIGHTLY=1 adds the long ones)
	cd e2e && $(if $(NIGHTLY),ROLLCALL_NIGHTLY=1 )go test $(if $(NIGHTLY),-v )-count=1 -parallel 8 -timeout 60m -p 2 -run '$(RUN)' ./...

.PHONY: nightly
nightly: ## Shuffle the unit tests, fuzz for NIGHTLY_FUZZTIME each, draw NIGHTLY_CHECKS runs of each property from other seeds than CI, and run the scenarios that take minutes
	$(MAKE) unit SHUFFLE=-shuffle=on
	$(MAKE) fuzz FUZZTIME=$(NIGHTLY_FUZZTIME)
	$(MAKE) properties RAPID_SEEDS=0 RAPID_CHECKS=$(NIGHTLY_CHECKS) RAPID_OTHERS=$(NIGHTLY_CHECKS)
	$(MAKE) e2e NIGHTLY=1

.PHONY: bench
bench: build bin/peers bin/reads ## Run the benchmarks (BENCH=regexp picks some)
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...
	cd e2e && go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m -p 1 ./...

.PHONY: lint
lint: bin/golangci-lint verify-generated ## Check style, bugs and generated files, in both modules
	bin/golangci-lint fmt --diff
	bin/golangci-lint run
	cd e2e && ../bin/golangci-lint fmt --diff --config ../.golangci.yml
	cd e2e && ../bin/golangci-lint run --config ../.golangci.yml
	cd e2e/peers && ../../bin/golangci-lint fmt --diff --config ../../.golangci.yml
	cd e2e/peers && ../../bin/golangci-lint run --config ../../.golangci.yml

.PHONY: generate
generate: bin/controller-gen ## Write the CRDs and deepcopy functions from the API types
	bin/controller-gen object crd:maxDescLen=600 paths=./sync/v1alpha1 \
		output:crd:dir=charts/rollcall/crds output:object:dir=sync/v1alpha1

# What lies in Git is what the API types say. Files that are not in Git yet, and
# changes elsewhere, do not matter.
.PHONY: verify-generated
verify-generated: generate
	@git diff --exit-code -- $(GENERATED) || { echo 'make lint: the generated files above were out of date: commit what make generate wrote' >&2; exit 1; }

# Not a part of `make test`: the database changes under an unchanged commit.
.PHONY: vuln
vuln: bin/govulncheck ## Look for known vulnerabilities in what the root module calls
	bin/govulncheck ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin

bin/rollcall: $(SOURCES)
	go build -trimpath -ldflags '$(ROLLCALL_LINK)' -o $@ ./cmd/rollcall

# kubectl finds plugins by this name.
bin/kubectl-rollcall: bin/rollcall
	ln -sf rollcall $@

bin/minicluster: $(MINICLUSTER_SOURCES)
	cd e2e && go build -ldflags '$(MINICLUSTER_LINK)' -o ../$@ ./cmd/minicluster

# What rollcall is compared with, built from a module of its own.
bin/peers: $(PEERS_SOURCES)
	cd e2e/peers && go build -o ../../$@ .

# rollcall's side of the same.
bin/reads: $(SOURCES) $(E2E_SOURCES)
	cd e2e && go build -ldflags '$(LINK)' -o ../$@ ./cmd/reads

bin/demo: $(SOURCES) $(E2E_SOURCES)
	cd e2e && go build -ldflags '$(LINK)' -o ../$@ ./cmd/demo

bin/golangci-lint bin/controller-gen bin/govulncheck: .tools/go.mod .tools/go.sum
	cd .tools && go build -trimpath -ldflags '$(LINK)' -o ../$@ $$(go list -f '{{.ImportPath}}' tool | grep '/$(@F)$$')

# Debian's sshd, which the tests of ssh start themselves: the file keeps its service from being started.
bin/sshd:
	@mkdir -p bin
	@if [ ! -x /usr/sbin/sshd ]; then \
		if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo 'make unit: /usr/sbin/sshd is missing: install it (apt-get install openssh-server), or run this once as root on Debian' >&2; exit 1; fi; \
		mkdir -p /etc/ssh; touch /etc/ssh/sshd_not_to_be_run; \
		install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends openssh-server >/dev/null; }; \
		install 2>/dev/null || { apt-get update -qq; install; }; \
	fi; \
	ln -sf /usr/sbin/sshd $@
# What the tests of signatures sign and compare with; from Debian's packages where it is missing.
bin/gpg bin/ssh-keygen:
	@mkdir -p bin
	@if ! command -v $(@F) >/dev/null; then \
		package=$(if $(filter gpg,$(@F)),gnupg,openssh-client); \
		if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then echo "make unit: $(@F) is missing: install it (apt-get install $$package), or run this once as root on Debian" >&2; exit 1; fi; \
		install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$package >/dev/null; }; \
		install 2>/dev/null || { apt-get update -qq; install; }; \
	fi; \
	ln -sf "$$(command -v $(@F))" $@

# Debian's promtool, taken out of its package: nothing is installed and no
# service started.
bin/promtool:
	@mkdir -p bin
	@if command -v promtool >/dev/null; then ln -sf "$$(command -v promtool)" $@; exit; fi; \
	if ! command -v apt-get >/dev/null; then echo 'make alerts: promtool is missing and this is no Debian: install promtool (it comes with Prometheus)' >&2; exit 1; fi; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; chmod 755 "$$dir"; \
	fetch() { (cd "$$dir" && apt-get download -qq prometheus); }; \
	if ! fetch 2>/dev/null; then \
		if [ "$$(id -u)" != 0 ]; then echo 'make alerts: promtool is missing: install it (apt-get install prometheus), or run this once as root' >&2; exit 1; fi; \
		apt-get update -qq; fetch; \
	fi; \
	dpkg-deb -x "$$dir"/prometheus_*.deb "$$dir/root"; \
	install -m 755 "$$dir/root/usr/bin/promtool" $@
