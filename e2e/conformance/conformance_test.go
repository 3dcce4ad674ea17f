// Package conformance runs the official conformance suite of Gateway API, whose version go.mod pins, against the
// cluster of the current kubeconfig. All options are the suite's own flags.
package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	if options.RunTest != "" {
		options.SupportedFeatures = claimedFeatures(t, &options)
	}
	conformance.RunConformanceWithOptions(t, options)
}

// claimedFeatures are those of the GatewayClass's status. The suite reads them there itself, but not when it
// runs a single test: it would then skip every test of an extended feature.
func claimedFeatures(t *testing.T, options *suite.ConformanceOptions) []features.FeatureName {
	class := &gatewayv1.GatewayClass{}
	name := types.NamespacedName{Name: options.GatewayClassName}
	require.NoError(t, options.Client.Get(t.Context(), name, class))
	claimed := make([]features.FeatureName, 0, len(class.Status.SupportedFeatures))
	for _, feature := range class.Status.SupportedFeatures {
		claimed = append(claimed, features.FeatureName(feature.Name))
	}
	return claimed
}
