# The Helm chart and the image. Included by the top Makefile, after e2e/cluster/cluster.mk.

# The helm that `make cluster-tools` builds, unless another is named.
HELM ?= $(CLUSTER_TOOLS)/bin/helm
IMAGE := chancery:dev
IMAGE_TARBALL := dist/chancery-image.tar
# Public certificate authorities, in the form and place of Debian.
CERTIFICATES ?= /etc/ssl/certs/ca-certificates.crt

# Cargo's profile of the programs in the image. With `dev`, they are those of `make test`, and nothing is compiled once more.
IMAGE_PROFILE ?= release
IMAGE_PROGRAMS := target/$(patsubst dev,debug,$(IMAGE_PROFILE))

# The processors of this machine, as images call them.
ARCHITECTURE := $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(shell uname -m)))
MODULE_FOLDER := /usr/local/lib/chancery
# The AI engine's modules for Envoys, as SOURCE:TARGET. One for other processors is added by naming it, too:
# make image EXTRA_MODULES=FILE:/usr/local/lib/chancery/libchancery_ai.arm64.so
EXTRA_MODULES ?=
MODULES := $(IMAGE_PROGRAMS)/libchancery_ai.so:$(MODULE_FOLDER)/libchancery_ai.$(ARCHITECTURE).so $(EXTRA_MODULES)

# Of one package alone Cargo selects fewer features of its dependencies: what is shipped holds no more than it needs. `make test` has
# all of the workspace.
ifeq ($(IMAGE_PROFILE),dev)
BUILD_IMAGE_PROGRAMS = $(CARGO) build --locked --workspace --lib --bin chancery
else
BUILD_IMAGE_PROGRAMS = $(CARGO) build --locked --profile $(IMAGE_PROFILE) --package controlplane --bin chancery && \
	$(CARGO) build --locked --profile $(IMAGE_PROFILE) --package module
endif

.PHONY: image
image: ## write dist/chancery-image.tar (chancery:dev) without a container engine
	@[ -f $(CERTIFICATES) ] || { echo 'certificates are missing: install ca-certificates, or set CERTIFICATES' >&2; exit 1; }
	$(BUILD_IMAGE_PROGRAMS)
	$(CARGO) build --locked --workspace --bin cluster
	target/debug/cluster image --name $(IMAGE) --output $(IMAGE_TARBALL) \
		--file $(CERTIFICATES):/etc/ssl/certs/ca-certificates.crt $(addprefix --file ,$(MODULES)) $(IMAGE_PROGRAMS)/chancery
	@echo 'To use it: ctr images import, docker load --input, or kind load image-archive, with $(IMAGE_TARBALL)'

.PHONY: helm-test
helm-test: $(HELM) ## lint the chart and compare what it renders with helm/tests/golden
	helm/tests/render.sh $(HELM)

.PHONY: helm-golden
helm-golden: $(HELM) ## rewrite helm/tests/golden (then read the diff)
	UPDATE_GOLDEN=1 helm/tests/render.sh $(HELM)

$(CLUSTER_TOOLS)/bin/helm: | $(CLUSTER_TOOLS)/.built-helm

# --- For machines with Docker, kind, kubectl and helm. `make test-cluster` shows the same without containers. ---

KIND_CLUSTER := chancery
GATEWAY_API_VERSION := v1.6.3
KIND_KUBECTL := kubectl --context kind-$(KIND_CLUSTER)
SEED := examples/seed-kgateway
SEED_NAMESPACE := kgateway-system

.PHONY: kind
kind: ## a kind cluster that serves the kgateway seed (needs Docker, kind, kubectl, helm; reads GOOGLE_KEY)
	@for tool in docker kind kubectl helm; do \
		command -v $$tool >/dev/null || { echo "$$tool is missing; without it: make cluster" >&2; exit 1; }; done
	@[ -n "$${GOOGLE_KEY:-}" ] || echo 'GOOGLE_KEY is not set: Gemini will refuse the key (401 or 400)'
	docker build --tag $(IMAGE) .
	kind get clusters | grep --quiet --line-regexp $(KIND_CLUSTER) || kind create cluster --name $(KIND_CLUSTER) --wait 2m
	kind load docker-image $(IMAGE) --name $(KIND_CLUSTER)
	$(KIND_KUBECTL) apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/$(GATEWAY_API_VERSION)/standard-install.yaml
	helm upgrade --install chancery helm --kube-context kind-$(KIND_CLUSTER) \
		--namespace chancery-system --create-namespace --set gatewayClasses.kgateway=true
	@# The tag is the same after an edit, the image is not.
	$(KIND_KUBECTL) --namespace chancery-system rollout restart deployment/chancery
	$(KIND_KUBECTL) --namespace chancery-system rollout status deployment/chancery --timeout=3m
	$(KIND_KUBECTL) create namespace $(SEED_NAMESPACE) --dry-run=client --output=yaml | $(KIND_KUBECTL) apply -f -
	@# Not on a command line, where others could read the key.
	@for file in $(SEED)/*.yaml; do echo "$$file"; \
		awk '{ sub(/\$$GOOGLE_KEY/, ENVIRON["GOOGLE_KEY"]); print }' "$$file" | $(KIND_KUBECTL) apply -f -; done
	$(KIND_KUBECTL) --namespace $(SEED_NAMESPACE) wait --for=create deployment/ai-gateway --timeout=1m
	$(KIND_KUBECTL) --namespace $(SEED_NAMESPACE) rollout status deployment/ai-gateway --timeout=3m
	@printf '%s\n' '' 'In another terminal:' \
		'  $(KIND_KUBECTL) -n $(SEED_NAMESPACE) port-forward service/ai-gateway 8080' 'Then:' \
		"  curl localhost:8080/gemini -H content-type:application/json -d '{" \
		"    \"contents\": [{\"parts\": [{\"text\": \"Explain how AI works in a few words\"}]}]}'" \
		'To end it: make kind-down'

.PHONY: kind-down
kind-down: ## delete the cluster of `make kind`
	kind delete cluster --name $(KIND_CLUSTER)
