#!/usr/bin/env bash
# Lints the chart, renders it with each file of tests/values, and holds the result against tests/golden.
# With UPDATE_GOLDEN=1 the result is written there instead. Needs no cluster. Usage: render.sh HELM
set -euo pipefail

helm=$1
chart=$(cd "$(dirname "$0")/.." && pwd)
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

fail() {
  echo "helm-test: $*" >&2
  exit 1
}

for values in "$chart"/tests/values/*.yaml; do
  name=$(basename "$values" .yaml)
  flags=(--namespace chancery-system --values "$values")
  [ "$name" = without-gateway-api ] || flags+=(--api-versions gateway.networking.k8s.io/v1/GatewayClass)
  release=chancery
  [ "$name" != everything ] || release=edge
  "$helm" lint --quiet --strict --values "$values" "$chart"
  "$helm" template "$release" "$chart" "${flags[@]}" >"$rendered/$name.yaml"
done
# What the user reads at the end. Only a pretended installation shows it, which knows no API but Kubernetes' own.
"$helm" install chancery "$chart" --namespace chancery-system --dry-run=client --set crds.install=false |
  sed -n '/^NOTES:/,$p' >"$rendered/without-gateway-api.notes.txt"

if [ -n "${UPDATE_GOLDEN:-}" ]; then
  rm -rf "$chart/tests/golden"
  cp -r "$rendered" "$chart/tests/golden"
  chmod 755 "$chart/tests/golden"
else
  diff -ru "$chart/tests/golden" "$rendered" || fail "the chart renders differently: look, then run \`make helm-golden\`"
fi

# Our CRDs, every one of them upgraded by the release and kept when it goes.
crds=$("$helm" template chancery "$chart" --show-only templates/crds.yaml)
files=$(find "$chart/files/crds" -name '*.yaml' | wc -l)
[ "$files" -gt 0 ] || fail "there are no CRDs in files/crds: run \`make crds\`"
for line in 'kind: CustomResourceDefinition' '    helm.sh/resource-policy: keep' '    app.kubernetes.io/managed-by: Helm'; do
  count=$(grep -cx "$line" <<<"$crds")
  [ "$count" = "$files" ] || fail "\"$line\" stands in $count of $files CRDs"
done

# The schema refuses what is misspelt or of the wrong type.
for wrong in replica=3 replicas=-1 image.pullPolicy=Sometimes gatewayClasses.istio=true controllerName=chancery extraGatewayClasses={A}; do
  ! "$helm" template chancery "$chart" --set "$wrong" >/dev/null 2>&1 || fail "values.schema.json lets $wrong pass"
done
echo "helm-test: the chart is as it was"
