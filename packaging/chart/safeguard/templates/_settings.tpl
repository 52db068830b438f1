{{- /* The program's settings: the operator's, and what only the chart knows. */}}
{{- define "safeguard.settings" -}}
{{- $own := dict "server" (dict
  "listen" (printf (contains ":" .Values.address | ternary "[%s]:8420" "%s:8420") .Values.address)
  "certificate" "/etc/tls/tls.crt"
  "key" "/etc/tls/tls.key"
  "state_dir" "/var/lib/safeguard-server/state"
) -}}
{{- if .Values.webhook.secret }}
{{- $_ := set $own "webhook" (dict "secret_file" "/etc/webhook/secret") }}
{{- end }}
{{- if .Values.thisCluster.name }}
{{- if and (not .Values.thisCluster.tenant) (gt (len (dig "verify" "tenants" list .Values.settings)) 1) }}
{{- fail "thisCluster.tenant: name whose cluster this is, as settings.verify.tenants has several" }}
{{- end }}
{{- $here := dict
  "name" .Values.thisCluster.name
  "server" "https://kubernetes.default.svc"
  "ca" "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
  "token_file" "/var/run/secrets/kubernetes.io/serviceaccount/token"
  "service_accounts" .Values.thisCluster.serviceAccounts
  "nodes" .Values.thisCluster.nodes
}}
{{- with .Values.thisCluster.tenant }}
{{- $_ := set $here "tenant" . }}
{{- end }}
{{- $_ := set $own "verify" (dict "clusters" (append (dig "verify" "clusters" list .Values.settings) $here)) }}
{{- end -}}
# Of the chart {{ .Chart.Name }}, from `settings`.
{{- include "toml.table" (dict "path" "" "table" (mustMergeOverwrite (deepCopy .Values.settings) $own)) }}
{{- end }}
