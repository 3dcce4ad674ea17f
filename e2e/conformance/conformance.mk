# The official conformance suite of Gateway API in the one-node cluster. Included by the top Makefile, after
# e2e/cluster/cluster.mk and helm.mk.

CONFORMANCE_SOURCE := e2e/conformance
# The suite's version, v1.6.3 or v1.7.0: a Go module each. Its custom resource definitions are of the same version.
SUITE ?= v1.6.3
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
	$(CARGO) build --locked --workspace --bin mock-provider --bin conformance
	$(CLUSTER) target/debug/conformance --program $(CONFORMANCE_TOOLS)/conformance.test \
		--images $(CONFORMANCE_TOOLS)/images --crds $(CONFORMANCE_TOOLS)/crds --profiles $(PROFILE) $(if $(TEST),--test $(TEST)) \
		--output $(CONFORMANCE_OUTPUT) --report $(CONFORMANCE_REPORT) $(if $(FLAGS),-- $(FLAGS))

$(CONFORMANCE_TOOLS)/.built: $(CONFORMANCE_SOURCE)/build $(wildcard $(CONFORMANCE_SOURCE)/$(SUITE)/go.*) \
		$(CONFORMANCE_SOURCE)/conformance_test.go | cluster-go
	$(CONFORMANCE_SOURCE)/build $(SUITE) $(CONFORMANCE_TOOLS)
	touch $@
