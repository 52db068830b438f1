{{- /*
TOML of values. Helm's own toToml writes every whole number with a fraction (365.0), which programs refuse, because numbers of
YAML arrive as floats. A null is left out, as Helm does to take a default away.
*/}}

{{- /* One table: what has no name of its own first, then the tables below it. Takes {path, table}. */}}
{{- define "toml.table" -}}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value)) }}
{{ include "toml.key" $key }} = {{ include "toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $below := include "toml.key" $key }}
{{- if $path }}{{ $below = printf "%s.%s" $path $below }}{{ end }}
{{- if or (empty $value) (include "toml.hasKeys" $value) }}

[{{ $below }}]
{{- end }}
{{- include "toml.table" (dict "path" $below "table" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Whether a table has something besides other tables, which need no heading of it. */}}
{{- define "toml.hasKeys" -}}
{{- range . }}{{ if not (kindIs "map" .) }}yes{{ end }}{{ end }}
{{- end }}

{{- define "toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toRawJson . }}{{ end }}
{{- end }}

{{- define "toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }},{{ end }} {{ include "toml.key" $key }} = {{ include "toml.value" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $index, $value := . }}{{ if $index }}, {{ end }}{{ include "toml.value" $value }}{{ end }}]
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ printf "%.0f" . }}
{{- else -}}
{{ toRawJson . }}
{{- end }}
{{- end }}
