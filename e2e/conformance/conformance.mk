# The official conformance suite of Gateway API in the one-node cluster. Included by the top Makefile, after
# e2e/cluster/cluster.mk and helm.mk.

CONFORMANCE_SOURCE := e2e/conformance
# The suite's version; its custom resource definitions are of the same one.
SUITE ?= $(shell sed -n 's|^\tsigs.k8s.io/gateway-api/conformance \(v[0-9.]*\).*|\1|p' $(CONFORMANCE_SOURCE)/go.mod)
CONFORMANCE_TOOLS ?= $(CURDIR)/.tools/conformance-$(SUITE)
CONFORMANCE_OUTPUT := dist/conformance/$(SUITE)
CONFORMANCE_PROFILES := GATEWAY-HTTP,GATEWAY-TLS,GATEWAY-GRPC,GATEWAY-TCP,GATEWAY-UDP
# Some of the profiles, separated by commas; one test by its short name; more flags of the suite.
PROFILE ?= $(CONFORMANCE_PROFILES)
TEST ?=
FLAGS ?=
# Only a run of everything says what the whole project conforms to.
CONFORMANCE_REPORT := $(if $(TEST)$(filter-out $(CONFORMANCE_PROFILES),$(PROFILE)),$(CONFORMANCE_OUTPUT),docs/conformance/$(SUITE))/experimental-default-report.yaml

.PHONY: conformance
conformance: $(CONFORMANCE_TOOLS)/.built $(CLUSTER_BUILT) $(ENVOY_STAMP) image | cluster-machine ## Gateway API's conformance suite in a cluster (needs root); PROFILE=GATEWAY-HTTP TEST=HTTPRouteSimpleSameNamespace for less
	$(CARGO) build --locked --package e2e --package acceptance --bin mock-provider --bin conformance
	$(CLUSTER) target/debug/conformance --program $(CONFORMANCE_TOOLS)/conformance.test \
		--images $(CONFORMANCE_TOOLS)/images --profiles $(PROFILE) $(if $(TEST),--test $(TEST)) \
		--output $(CONFORMANCE_OUTPUT) --report $(CONFORMANCE_REPORT) $(if $(FLAGS),-- $(FLAGS))

# The suite as one program, and the names of the images that its manifests use.
$(CONFORMANCE_TOOLS)/.built: $(wildcard $(CONFORMANCE_SOURCE)/go.*) $(wildcard $(CONFORMANCE_SOURCE)/*.go) | cluster-go
	@grep --quiet --fixed-strings 'sigs.k8s.io/gateway-api/conformance $(SUITE)' $(CONFORMANCE_SOURCE)/go.mod || \
		{ echo 'SUITE=$(SUITE): $(CONFORMANCE_SOURCE)/go.mod has another version' >&2; exit 1; }
	mkdir -p $(CONFORMANCE_TOOLS)
	cd $(CONFORMANCE_SOURCE) && CGO_ENABLED=0 GOWORK=off go test -c -trimpath -buildvcs=false -ldflags '-s -w' \
		-o $(CONFORMANCE_TOOLS)/conformance.test . && \
		module="$$(GOWORK=off go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api/conformance)" && \
		sed -n 's/^ *image: //p' "$$module"/base/*.yaml "$$module"/tests/*.yaml | sort --unique \
		>$(CONFORMANCE_TOOLS)/images
	touch $@
