{{- /* The settings of each program: the operator's, and what only the chart knows. */}}

{{- define "agent.settings" -}}
{{- $agent := .Values.agent -}}
{{- $own := dict
  "node" (dict "host_root" "/host")
  "kubernetes" (dict "mode" "in-cluster")
  "agent" (dict "metrics" (include "agent.endpoint" $agent.metrics))
-}}
{{- $logs := dig "logs" dict $agent.settings }}
{{- if not (dig "include_self" false $logs) }}
{{- /* What it says itself would feed back into itself. Told the pod's name (POD_NAME) it would leave out the proxy beside it, too, whose
lines are an audit trail. A DaemonSet's pods end in five letters and digits. */}}
{{- $itself := printf "%s/%s-?????/agent" .Release.Namespace (include "agent.fullname" .) }}
{{- $_ := set $own "logs" (dict "exclude" (append (dig "exclude" list $logs) $itself)) }}
{{- end }}
{{- if $agent.heartbeatToken }}
{{- $_ := set $own "heartbeat" (dict "service_account_token_file" "/var/run/secrets/safeguard/token") }}
{{- end -}}
# Of the chart {{ .Chart.Name }}, from `agent.settings`.
{{- include "toml.table" (dict "path" "" "table" (mustMergeOverwrite (deepCopy $agent.settings) $own)) }}
{{- end }}

{{- define "proxy.settings" -}}
{{- $own := dict
  "kubernetes" (dict "mode" "in-cluster")
  "proxy" (dict "metrics" (include "agent.endpoint" .Values.proxy.metrics))
-}}
# Of the chart {{ .Chart.Name }}, from `proxy.settings`.
{{- include "toml.table" (dict "path" "" "table" (mustMergeOverwrite (deepCopy .Values.proxy.settings) $own)) }}
{{- end }}

{{- /* An address with its port. */}}
{{- define "agent.endpoint" -}}
{{- if contains ":" .address }}[{{ .address }}]{{ else }}{{ .address }}{{ end }}:{{ int .port }}
{{- end }}

{{- /* Where a probe of the kubelet, which shares the node's network, finds it. */}}
{{- define "agent.probed" -}}
{{- if has .address (list "0.0.0.0" "::") }}127.0.0.1{{ else }}{{ .address }}{{ end }}
{{- end }}

{{- /* What the agent asks the API server and the kubelet, by its settings: "yes" or nothing. */}}
{{- define "agent.watchesPods" -}}
{{- $logs := dig "logs" dict .Values.agent.settings -}}
{{- if and .Values.agent.enabled (dig "enabled" true $logs) (dig "annotations_may_exclude" list $logs) }}yes{{ end }}
{{- end }}

{{- define "agent.beats" -}}
{{- if and .Values.agent.enabled (dig "heartbeat" "url" "" .Values.agent.settings) }}yes{{ end }}
{{- end }}

{{- define "agent.asksKubelet" -}}
{{- if and .Values.agent.enabled (dig "checks" "enabled" true .Values.agent.settings) }}yes{{ end }}
{{- end }}

{{- define "agent.needsApi" -}}
{{- if or (include "agent.watchesPods" .) (include "agent.beats" .) (include "agent.asksKubelet" .) }}yes{{ end }}
{{- end }}
