{{/* dict root, component, values, config (text): the metadata of a pod */}}
{{- define "skimmer.podMeta" -}}
labels: {{- include "skimmer.labels" . | nindent 2 }}
annotations:
  checksum/config: {{ .config | sha256sum }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* dict root, component, values, program, file, ports (list of name, port): a server that mounts nothing */}}
{{- define "skimmer.server" -}}
name: {{ .component }}
image: {{ include "skimmer.image" . }}
imagePullPolicy: {{ include "skimmer.pullPolicy" . }}
command: [{{ .program }}, --config, /etc/dragonfly/{{ .file }}, --log-level, {{ include "skimmer.logLevel" .values }}]
ports:
  {{- range .ports }}
  - {name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP}
  {{- end }}
envFrom:
  - configMapRef: {name: {{ include "skimmer.fullname" .root }}-endpoints}
securityContext: {{- include "skimmer.containerSecurity" . | nindent 2 }}
resources: {{- toYaml .values.resources | nindent 2 }}
{{- end }}
