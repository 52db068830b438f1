{{- define "safeguard.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "safeguard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "safeguard.name" .) .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "safeguard.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* What the pod is found by. It never changes. */}}
{{- define "safeguard.selector" -}}
app.kubernetes.io/name: {{ include "safeguard.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "safeguard.labels" -}}
{{ include "safeguard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "safeguard.serviceAccount" -}}
{{ default (.Values.serviceAccount.create | ternary (include "safeguard.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- define "safeguard.image" -}}
{{- $registry := required "image.registry has to be set: where the image is that packaging/images/build makes" .Values.image.registry -}}
{{ $registry }}/safeguard:{{ default .Chart.AppVersion .Values.image.tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
