{{- /* The containers, and what each may do. All are root by number, because the files they read are root's, and none has more of
root than it names. Their roots are read-only, and the runtime's seccomp profile holds for each: it lets a process add a filter of
its own, which the agent and the proxy do to lose execve, and with CAP_SYS_ADMIN it lets one make a network namespace, which the
check of the redirect does. */}}

{{- /* Takes the capabilities, as a list. */}}
{{- define "container.security" -}}
runAsUser: 0
runAsGroup: 0
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
privileged: false
capabilities:
  drop: [ALL]
  {{- with . }}
  add: {{ toJson . }}
  {{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "container.environment" -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- /* Takes {metrics, ready}: the kubelet asks over the node's own network. */}}
{{- define "container.probes" -}}
{{- $host := include "agent.probed" .metrics -}}
{{- $port := int .metrics.port -}}
# It may wait for the metadata service, as the unit lets it: 90 s.
startupProbe:
  httpGet: {path: /healthz, host: {{ $host | quote }}, port: {{ $port }}}
  periodSeconds: 3
  failureThreshold: 30
# Healthy is a process that makes progress. What a restart would not mend, such as an AWS that is away, is not asked for.
livenessProbe:
  httpGet: {path: /healthz, host: {{ $host | quote }}, port: {{ $port }}}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: {{ .ready }}, host: {{ $host | quote }}, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{- /* A port that others than the node's own processes may reach. Takes {metrics, name}. */}}
{{- define "container.ports" -}}
{{- if not (has .metrics.address (list "127.0.0.1" "::1")) -}}
ports:
  - name: {{ .name }}
    containerPort: {{ int .metrics.port }}
    hostPort: {{ int .metrics.port }}
    protocol: TCP
{{- end }}
{{- end }}

{{- define "container.agent" -}}
- name: agent
  image: {{ include "agent.image" (dict "root" . "name" "safeguard-agent" "digest" .Values.image.digests.agent) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [run]
  securityContext:
    # DAC_READ_SEARCH reads every log and every file that a control asks for. SYS_PTRACE looks through the links below /proc/PID of
    # the host's processes. It writes nothing that is not root's own.
    {{- include "container.security" (list "DAC_READ_SEARCH" "SYS_PTRACE") | nindent 4 }}
    {{- with .Values.agent.appArmorProfile }}
    appArmorProfile:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.agent.seLinuxOptions }}
    seLinuxOptions:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  env:
    {{- include "container.environment" . | nindent 4 }}
  {{- with include "container.ports" (dict "metrics" .Values.agent.metrics "name" "agent-metrics") }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- include "container.probes" (dict "metrics" .Values.agent.metrics "ready" "/healthz") | nindent 2 }}
  resources:
    {{- toYaml .Values.agent.resources | nindent 4 }}
  volumeMounts:
    # With what is mounted on the host later, such as a disk for logs. That excludes recursiveReadOnly, so what is mounted below it
    # can be written as far as its files are root's; the agent opens nothing there for writing.
    - name: host
      mountPath: /host
      readOnly: true
      mountPropagation: HostToContainer
    - name: state
      mountPath: /var/lib/safeguard
    - name: run
      mountPath: /run/safeguard
    - name: agent-settings
      mountPath: /etc/safeguard
      readOnly: true
    {{- if .Values.authorities }}
    - name: authorities
      mountPath: /etc/authorities
      readOnly: true
    {{- end }}
    {{- if include "agent.needsApi" . }}
    - name: api-access
      mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      readOnly: true
    {{- end }}
    {{- if .Values.agent.heartbeatToken }}
    - name: heartbeat-token
      mountPath: /var/run/secrets/safeguard
      readOnly: true
    {{- end }}
{{- end }}

{{- define "container.proxy" -}}
- name: proxy
  image: {{ include "agent.image" (dict "root" . "name" "safeguard-proxy" "digest" .Values.image.digests.proxy) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [serve]
  securityContext:
    # It is what pods can reach: root by number alone, for the CNI's results, which are root's and 0600.
    {{- include "container.security" list | nindent 4 }}
  env:
    {{- include "container.environment" . | nindent 4 }}
  {{- with include "container.ports" (dict "metrics" .Values.proxy.metrics "name" "proxy-metrics") }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- include "container.probes" (dict "metrics" .Values.proxy.metrics "ready" "/readyz") | nindent 2 }}
  resources:
    {{- toYaml .Values.proxy.resources | nindent 4 }}
  volumeMounts:
    - name: cni-results
      mountPath: /var/lib/cni/results
      readOnly: true
    - name: run
      mountPath: /run/safeguard
    - name: proxy-settings
      mountPath: /etc/safeguard
      readOnly: true
    {{- if .Values.authorities }}
    - name: authorities
      mountPath: /etc/authorities
      readOnly: true
    {{- end }}
    - name: api-access
      mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      readOnly: true
{{- end }}

{{- /* Takes {root, name, args, capabilities}. */}}
{{- define "container.redirect" -}}
- name: {{ .name }}
  image: {{ include "agent.image" (dict "root" .root "name" "safeguard-redirect" "digest" .root.Values.image.digests.redirect) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: {{ toJson .args }}
  securityContext:
    {{- include "container.security" .capabilities | nindent 4 }}
  resources:
    {{- toYaml .root.Values.proxy.redirect.resources | nindent 4 }}
  volumeMounts:
    - name: run
      mountPath: /run/safeguard
    - name: proxy-settings
      mountPath: /etc/safeguard
      readOnly: true
{{- end }}
