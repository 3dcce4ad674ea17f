{{/* The name of everything: the release's, with ours in it. Also part of the address that proxies connect to. */}}
{{- define "chancery.name" -}}
{{- if contains "chancery" .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-chancery" (.Release.Name | trunc 39 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* What selects the control plane's pods. It can never change. */}}
{{- define "chancery.selector" -}}
app.kubernetes.io/name: chancery
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "chancery.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "chancery.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The names of the GatewayClasses, as a list in JSON. */}}
{{- define "chancery.classes" -}}
{{- $classes := list }}
{{- range $class, $wanted := .Values.gatewayClasses }}{{ if $wanted }}{{ $classes = append $classes $class }}{{ end }}{{ end }}
{{- concat $classes .Values.extraGatewayClasses | toJson -}}
{{- end -}}

{{/* Of what a namespace holds. */}}
{{- define "chancery.metadata" -}}
name: {{ include "chancery.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "chancery.labels" . | nindent 2 }}
{{- end -}}
