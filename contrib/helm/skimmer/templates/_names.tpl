{{- define "skimmer.app" -}}
{{ .Values.nameOverride | default "dragonfly" }}
{{- end }}

{{- define "skimmer.fullname" -}}
{{ .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* dict root, component: what a Service selects by */}}
{{- define "skimmer.selector" -}}
app: {{ include "skimmer.app" .root }}
release: {{ .root.Release.Name }}
component: {{ .component }}
{{- end }}

{{- define "skimmer.labels" -}}
{{ include "skimmer.selector" . }}
heritage: {{ .root.Release.Service }}
chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* dict root, values: a component's image, in the words of 2023 (text and tag) or of today (mapping) */}}
{{- define "skimmer.image" -}}
{{- $image := .values.image -}}
{{- $names := .root.Values.imageNames -}}
{{- if kindIs "map" $image -}}
{{- $repository := get $names (default "" $image.repository) | default $image.repository -}}
{{- $whole := $repository -}}
{{- if $image.registry }}{{ $whole = printf "%s/%s" $image.registry $repository }}{{ end -}}
{{- if $image.digest }}{{ printf "%s@%s" $whole $image.digest }}
{{- else }}{{ printf "%s:%s" $whole (default .root.Chart.AppVersion $image.tag) }}{{ end -}}
{{- else -}}
{{ get $names $image | default $image }}:{{ .values.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "skimmer.pullPolicy" -}}
{{- if kindIs "map" .values.image }}{{ .values.image.pullPolicy | default .values.pullPolicy }}{{ else }}{{ .values.pullPolicy }}{{ end }}
{{- end }}

{{/* list old, new: values under the old name, those of the new one over them. An image is a text in one and a
mapping in the other, which no merge puts together. */}}
{{- define "skimmer.eitherName" -}}
{{- $new := last . | default dict -}}
{{- $out := mergeOverwrite (deepCopy (first .)) (omit $new "image") -}}
{{- with $new.image }}{{ $_ := set $out "image" . }}{{ end -}}
{{ toYaml $out }}
{{- end }}
{{- define "skimmer.seedPeer" -}}
{{ include "skimmer.eitherName" (list .Values.seedPeer .Values.seedClient) }}
{{- end }}
{{- define "skimmer.dfdaemon" -}}
{{ include "skimmer.eitherName" (list .Values.dfdaemon .Values.client) }}
{{- end }}

{{- define "skimmer.dns" -}}
{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{/* host:port of the manager's gRPC, "" if there is none */}}
{{- define "skimmer.managerAddr" -}}
{{- if .Values.manager.enable -}}
{{ include "skimmer.fullname" . }}-manager.{{ include "skimmer.dns" . }}:{{ .Values.manager.grpcPort }}
{{- else if .Values.externalManager.host -}}
{{ .Values.externalManager.host }}:{{ .Values.externalManager.grpcPort }}
{{- end -}}
{{- end }}

{{/* how the chart's own manager is asked: by TLS when its configuration has a certificate */}}
{{- define "skimmer.managerScheme" -}}
{{- if dig "server" "rest" "tls" "cert" "" (.Values.manager.config | default dict) }}https{{ else }}http{{ end -}}
{{- end }}

{{- define "skimmer.managerRest" -}}
{{- if .Values.manager.enable -}}
{{ include "skimmer.managerScheme" . }}://{{ include "skimmer.fullname" . }}-manager.{{ include "skimmer.dns" . }}:{{ .Values.manager.restPort }}
{{- else if .Values.externalManager.host -}}
http://{{ .Values.externalManager.host }}:{{ .Values.externalManager.restPort }}
{{- end -}}
{{- end }}

{{/* host:port of the OTLP/HTTP collector, "" if there is none */}}
{{- define "skimmer.collector" -}}
{{- if .Values.jaeger.endpoint -}}
{{ .Values.jaeger.endpoint }}
{{- else if .Values.jaeger.enable -}}
{{ include "skimmer.fullname" . }}-jaeger-collector.{{ include "skimmer.dns" . }}:4318
{{- end -}}
{{- end }}

{{/* --log-level of a component: verbose is its old name */}}
{{- define "skimmer.logLevel" -}}
{{- $config := .config | default dict -}}
{{- $log := get $config "log" | default dict -}}
{{- if $config.verbose }}debug{{ else }}{{ get $log "level" | default "info" }}{{ end -}}
{{- end }}

{{/* Tight: for whatever does not mount. */}}
{{- define "skimmer.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "skimmer.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* dict values: where a pod goes */}}
{{- define "skimmer.place" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
