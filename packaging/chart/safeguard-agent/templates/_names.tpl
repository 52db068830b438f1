{{- define "agent.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* With room for what Kubernetes adds to the names of pods, and the chart to those of ConfigMaps. */}}
{{- define "agent.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 57 | trimSuffix "-" }}
{{- else if contains (include "agent.name" .) .Release.Name -}}
{{ .Release.Name | trunc 57 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "agent.name" .) | trunc 57 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* What pods are found by. It never changes. */}}
{{- define "agent.selector" -}}
app.kubernetes.io/name: {{ include "agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agent.labels" -}}
{{ include "agent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "agent.serviceAccount" -}}
{{ default (.Values.serviceAccount.create | ternary (include "agent.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- /* An image by its name and digest. Takes {root, name, digest}. */}}
{{- define "agent.image" -}}
{{- $image := .root.Values.image -}}
{{- $registry := required "image.registry has to be set: where the images are that packaging/images/build makes" $image.registry -}}
{{ $registry }}/{{ .name }}:{{ default .root.Chart.AppVersion $image.tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
