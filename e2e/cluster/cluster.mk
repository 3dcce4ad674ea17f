# The one-node Kubernetes of the end-to-end tests: its programs, and the commands for a person.
# Included by the top Makefile.
#
# The programs are built once, from pinned Go modules, into `.tools/cluster-<Kubernetes version>/`.
# What cannot be built like that comes from Debian packages: `make cluster-system-packages`.

CLUSTER_SOURCE := e2e/cluster/tools
KUBERNETES_VERSION := $(shell sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p' $(CLUSTER_SOURCE)/go.mod)
KUBERNETES_MINOR := $(word 2,$(subst ., ,$(KUBERNETES_VERSION)))
CLUSTER_TOOLS ?= $(CURDIR)/.tools/cluster-$(KUBERNETES_VERSION)
# containerd and runc run containers, the plugins give pods their network, nft carries kube-proxy's rules.
CLUSTER_PACKAGES := containerd runc containernetworking-plugins nftables iproute2 openssl util-linux curl ca-certificates

KUBERNETES_PROGRAMS := kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet
# Without a version kubectl and helm refuse the server.
KUBERNETES_FLAGS := -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION) \
	-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(KUBERNETES_MINOR)
# Static, so that a program is an image's only file and no C compiler is asked for.
GO_BUILD := CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false

CLUSTER_BUILT := $(addprefix $(CLUSTER_TOOLS)/.built-,kubernetes etcd helm coredns echo pause crds)
CLUSTER = CHANCERY_CLUSTER_TOOLS=$(CLUSTER_TOOLS) CHANCERY_ENVOY=$(CURDIR)/$(ENVOY) CHANCERY_IMAGE_PROGRAMS=$(CURDIR)/$(IMAGE_PROGRAMS)

# In the cluster of `make cluster`.
INSIDE = $(CLUSTER) target/debug/cluster exec
HELLO := kubectl --namespace hello

.PHONY: cluster
cluster: $(CLUSTER_BUILT) $(ENVOY_STAMP) image | cluster-machine ## bring up a one-node Kubernetes with Chancery and keep it (needs root); again: the newest build
	@$(CLUSTER) target/debug/cluster up --image $(IMAGE_TARBALL) >/dev/null
	@# In a cluster that was up before, the image and what is installed are those of an earlier build.
	@echo "Installing Chancery by Helm ..."
	@$(INSIDE) ctr --namespace k8s.io images import $(CURDIR)/$(IMAGE_TARBALL) >/dev/null
	@$(INSIDE) helm upgrade --install chancery helm --namespace chancery-system --create-namespace --wait \
		--set gatewayClasses.kgateway=true --set gatewayClasses.gloo-gateway=true \
		--set-string podAnnotations.image="$$(sha256sum $(IMAGE_TARBALL) | cut -c 1-16)" >/dev/null
	@$(INSIDE) kubectl apply -f e2e/cluster/hello.yaml >/dev/null
	@$(INSIDE) $(HELLO) wait --for=condition=Programmed gateway/hello --timeout=90s
	@$(INSIDE) $(HELLO) rollout status deployment/echo --timeout=90s
	@$(CLUSTER) target/debug/cluster up
	@echo "Chancery serves a Gateway. Try:"
	@echo "  target/debug/cluster exec curl http://$$($(INSIDE) $(HELLO) get gateway hello -o 'jsonpath={.status.addresses[0].value}'):8080/"
	@echo "  target/debug/cluster exec kubectl get gateways,httproutes -A"

.PHONY: cluster-down
cluster-down: ## end the cluster of `make cluster`; nothing is left of it
	$(CARGO) build --locked --workspace --bin cluster
	@$(CLUSTER) target/debug/cluster down

# Named, since they are no part of `make test`. The quick ones first. `--workspace`: of one package alone Cargo would select
# other features of its dependencies, and compile them and all that stands on them once more.
CLUSTER_TESTS := workloads cluster_lifecycle cluster_commands
ACCEPTANCE_TESTS := validation pages cluster_seeds ai_engine limit_store cluster_refusals isolation rows parameters trust programmed deletions backends disruptions
# What is held to figures of time and memory.
SCALE_TESTS := scale

.PHONY: test-cluster
test-cluster: $(CLUSTER_BUILT) $(ENVOY_STAMP) valkey image helm-test | cluster-machine ## the tests that need a real Kubernetes (needs root)
	$(CARGO) build --locked --workspace --bin mock-provider --bin chancery --bin cluster
	$(CLUSTER) $(CARGO) test --locked --workspace $(addprefix --test ,$(CLUSTER_TESTS)) \
		-- --nocapture --test-threads=2
	$(CLUSTER) $(CARGO) test --locked --workspace $(addprefix --test ,$(ACCEPTANCE_TESTS)) \
		-- --nocapture --test-threads=2

.PHONY: test-scale
test-scale: $(CLUSTER_BUILT) $(ENVOY_STAMP) image | cluster-machine ## 50 Gateways and 3,000 routes in a cluster, held to figures (needs root, 8 GB, and a machine that does nothing else)
	$(CARGO) build --locked --workspace --bin mock-provider
	$(CLUSTER) $(CARGO) test --locked --workspace $(addprefix --test ,$(SCALE_TESTS)) \
		-- --nocapture --test-threads=1

.PHONY: bench-cluster
bench-cluster: $(CLUSTER_BUILT) $(ENVOY_STAMP) image | cluster-machine ## API write -> Envoy serves, with 10 to 10,000 routes (needs root)
	$(CARGO) build --locked --workspace --bin mock-provider
	$(CARGO) build --locked --workspace --bin bench-cluster
	$(CLUSTER) target/debug/bench-cluster

.PHONY: cluster-system-packages
cluster-system-packages: ## install the Debian packages of the one-node cluster (needs root)
	@missing=; for package in $(CLUSTER_PACKAGES); do \
		[ "$$(dpkg-query --show --showformat='$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || \
			missing="$$missing $$package"; done; \
	[ -n "$$missing" ] || { echo 'Installed already: $(CLUSTER_PACKAGES)'; exit 0; }; \
	echo "Installing:$$missing"; \
	[ "$$(id -u)" = 0 ] || { echo 'root is missing: run `sudo make $@`' >&2; exit 1; }; \
	apt-get update --quiet; \
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $$missing

.PHONY: cluster-tools
cluster-tools: $(CLUSTER_BUILT) ## build the programs of the one-node cluster (once; 15 min on 2 cores)

# Said before anything is built for minutes. The library knows it all in detail.
.PHONY: cluster-machine
cluster-machine:
	@[ "$$(id -u)" = 0 ] || { echo 'root is missing: run the same command with sudo' >&2; exit 1; }
	@for program in containerd runc nft ip openssl nsenter curl; do command -v $$program >/dev/null || \
		{ echo "$$program is missing: run \`make cluster-system-packages\`" >&2; exit 1; }; done

# Everything that is built waits for that word, too.
$(CLUSTER_BUILT): | $(if $(filter cluster test-cluster test-scale bench-cluster conformance,$(MAKECMDGOALS)),cluster-machine)

.PHONY: cluster-go
cluster-go:
	@command -v go >/dev/null || { echo 'Go 1.26 or newer is missing: see https://go.dev/doc/install' >&2; exit 1; }

$(CLUSTER_TOOLS)/.built-kubernetes: $(CLUSTER_SOURCE)/go.mod $(CLUSTER_SOURCE)/go.sum | cluster-go
	mkdir -p $(CLUSTER_TOOLS)/bin
	cd $(CLUSTER_SOURCE) && $(GO_BUILD) -ldflags '-s -w $(KUBERNETES_FLAGS)' -o $(CLUSTER_TOOLS)/bin/ \
		$(addprefix k8s.io/kubernetes/cmd/,$(KUBERNETES_PROGRAMS))
	touch $@

$(CLUSTER_TOOLS)/.built-etcd: $(CLUSTER_SOURCE)/go.mod $(CLUSTER_SOURCE)/go.sum | cluster-go
	mkdir -p $(CLUSTER_TOOLS)/bin
	cd $(CLUSTER_SOURCE) && $(GO_BUILD) -ldflags '-s -w' -o $(CLUSTER_TOOLS)/bin/etcd go.etcd.io/etcd/server/v3
	touch $@

$(CLUSTER_TOOLS)/.built-helm: $(CLUSTER_SOURCE)/helm/go.mod $(CLUSTER_SOURCE)/helm/go.sum | cluster-go
	mkdir -p $(CLUSTER_TOOLS)/bin
	cd $(CLUSTER_SOURCE)/helm && $(GO_BUILD) -ldflags '-s -w' -o $(CLUSTER_TOOLS)/bin/helm helm.sh/helm/v4/cmd/helm
	touch $@

$(CLUSTER_TOOLS)/.built-coredns: $(wildcard $(CLUSTER_SOURCE)/coredns/*) | cluster-go
	mkdir -p $(CLUSTER_TOOLS)/bin
	cd $(CLUSTER_SOURCE)/coredns && $(GO_BUILD) -ldflags '-s -w' -o $(CLUSTER_TOOLS)/bin/coredns .
	touch $@

# The echo server of the Gateway API conformance suite: a real backend.
$(CLUSTER_TOOLS)/.built-echo: $(CLUSTER_SOURCE)/gateway-api/go.mod $(CLUSTER_SOURCE)/gateway-api/go.sum | cluster-go
	mkdir -p $(CLUSTER_TOOLS)/bin
	cd $(CLUSTER_SOURCE)/gateway-api && $(GO_BUILD) -ldflags '-s -w' -o $(CLUSTER_TOOLS)/bin/echo-basic \
		sigs.k8s.io/gateway-api/conformance/echo-basic
	touch $@

# What holds a pod's namespaces, and a cluster's.
$(CLUSTER_TOOLS)/.built-pause: $(CLUSTER_SOURCE)/pause.c
	mkdir -p $(CLUSTER_TOOLS)/bin
	$(CC) -O2 -Wall -Wextra -Werror -static -s -o $(CLUSTER_TOOLS)/bin/pause $<
	touch $@

# Gateway API's custom resource definitions, as its Go module ships them.
$(CLUSTER_TOOLS)/.built-crds: $(CLUSTER_SOURCE)/gateway-api/go.mod $(CLUSTER_SOURCE)/gateway-api/go.sum | cluster-go
	rm -rf $(CLUSTER_TOOLS)/crds
	cd $(CLUSTER_SOURCE)/gateway-api && module="$$(GOWORK=off go mod download -json sigs.k8s.io/gateway-api \
		| sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')" && for channel in standard experimental; do \
		install -D --mode=644 --target-directory=$(CLUSTER_TOOLS)/crds/$$channel \
			"$$module"/config/crd/$$channel/gateway.*.yaml; done
	touch $@

.PHONY: gateway-api-schemas
gateway-api-schemas: $(CLUSTER_TOOLS)/.built-crds ## rewrite the schemas of Gateway API's kinds in crds/validation (then read the diff)
	CHANCERY_UPDATE_SCHEMAS=1 CHANCERY_CLUSTER_TOOLS=$(CLUSTER_TOOLS) \
		$(CARGO) test --locked --package crd-validation --test current
