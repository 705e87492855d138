{{/* What every configuration may have: where traces go. */}}
{{- define "skimmer.tracing" -}}
{{- with include "skimmer.collector" . }}
tracing:
  protocol: http
  endpoint: {{ . }}
  path: /v1/traces
{{- end }}
{{- end }}

{{/* How members show who they are: the files in a pod, a port of ours, and a link to others; nothing without
tls.secretName */}}
{{- define "skimmer.tlsVolume" -}}
{{- with .Values.tls.secretName -}}
- name: members-tls
  secret: {secretName: {{ . }}}
{{- end }}
{{- end }}
{{- define "skimmer.tlsMount" -}}
{{- if .Values.tls.secretName -}}
- {name: members-tls, mountPath: /etc/skimmer-tls, readOnly: true}
{{- end }}
{{- end }}
{{- define "skimmer.tlsPort" -}}
{{- if .Values.tls.secretName }}
{{- if not .Values.tls.serverName }}{{ fail "tls.secretName needs tls.serverName, the name that its tls.crt is made out for" }}{{ end }}
caCert: /etc/skimmer-tls/ca.crt
cert: /etc/skimmer-tls/tls.crt
key: /etc/skimmer-tls/tls.key
{{- end }}
{{- end }}
{{- define "skimmer.tlsLink" -}}
{{- if .Values.tls.secretName }}
{{- include "skimmer.tlsPort" . }}
serverName: {{ .Values.tls.serverName | quote }}
{{- end }}
{{- end }}
{{- define "skimmer.daemonTLS" -}}
{{- if .Values.tls.secretName }}
{{- $link := include "skimmer.tlsLink" . }}
manager: {{- $link | nindent 2 }}
scheduler: {{- $link | nindent 2 }}
upload:
  server: {{- include "skimmer.tlsPort" . | nindent 4 }}
  client: {{- $link | nindent 4 }}
{{- end }}
{{- end }}
{{- define "skimmer.schedulerTLS" -}}
{{- if .Values.tls.secretName }}
{{- $link := include "skimmer.tlsLink" . }}
server:
  tls: {{- include "skimmer.tlsPort" . | nindent 4 }}
manager:
  tls: {{- $link | nindent 4 }}
seedPeer:
  tls: {{- $link | nindent 4 }}
peer:
  tls: {{- $link | nindent 4 }}
{{- end }}
{{- end }}
{{- define "skimmer.managerTLS" -}}
{{- if .Values.tls.secretName }}
{{- $link := include "skimmer.tlsLink" . }}
server:
  grpc:
    tls: {{- include "skimmer.tlsPort" . | nindent 6 }}
scheduler:
  tls: {{- $link | nindent 4 }}
peer:
  tls: {{- $link | nindent 4 }}
{{- end }}
{{- end }}

{{/* database.redis, in the shape of scheduler.yaml and manager.yaml */}}
{{- define "skimmer.redis" -}}
{{- if .Values.redis.enable }}
addrs: [{{ printf "%s-redis-master.%s:6379" (include "skimmer.fullname" .) (include "skimmer.dns" .) }}]
password: {{ .Values.redis.auth.password | quote }}
{{- else if .Values.externalRedis.addrs }}
{{- with .Values.externalRedis }}
{{- if get (.tls | default dict) "enable" }}{{ fail "externalRedis.tls: Redis is asked without TLS; put stunnel between" }}{{ end }}
addrs: {{- toYaml .addrs | nindent 2 }}
{{- with .db }}
db: {{ . }}
{{- end }}
{{- if .masterName }}
masterName: {{ .masterName }}
{{- end }}
{{- if .username }}
username: {{ .username }}
{{- end }}
password: {{ .password | quote }}
{{- if .sentinelUsername }}
sentinelUsername: {{ .sentinelUsername }}
sentinelPassword: {{ .sentinelPassword | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* dict config, dropped: config without those paths */}}
{{- define "skimmer.without" -}}
{{- $config := deepCopy .config }}
{{- range .dropped }}
{{- $parts := splitList "." . }}
{{- $at := $config }}
{{- range initial $parts }}
{{- if and (kindIs "map" $at) (hasKey $at .) }}{{ $at = index $at . }}{{ else }}{{ $at = "" }}{{ end }}
{{- end }}
{{- if kindIs "map" $at }}{{ $_ := unset $at (last $parts) }}{{ end }}
{{- end }}
{{ toYaml $config }}
{{- end }}

{{/* dict config, moved: the keys of config that have moved, where they stand today */}}
{{- define "skimmer.moved" -}}
{{- $config := .config }}
{{- $out := dict }}
{{- range $from, $to := .moved }}
{{- $value := $config }}
{{- $found := true }}
{{- range splitList "." $from }}
{{- if and $found (kindIs "map" $value) (hasKey $value .) }}{{ $value = index $value . }}{{ else }}{{ $found = false }}{{ end }}
{{- end }}
{{- if $found }}
{{- range reverse (splitList "." $to) }}{{ $value = dict . $value }}{{ end }}
{{- $out = mergeOverwrite $out $value }}
{{- end }}
{{- end }}
{{ toYaml $out }}
{{- end }}

{{/* dict root, config, defaults: dfdaemon.yaml of a node or a seed */}}
{{- define "skimmer.daemonConfig" -}}
{{- $keys := .root.Files.Get "files/keys.yaml" | fromYaml }}
{{- $config := .config | default dict }}
{{- $out := .defaults }}
{{- $addr := include "skimmer.managerAddr" .root }}
{{- $oldManager := dig "scheduler" "manager" (dict) $config }}
{{- with get $oldManager "netAddrs" }}{{ $addr = (first .).addr }}{{ end }}
{{- if $addr }}{{ $out = mergeOverwrite $out (dict "manager" (dict "addr" $addr)) }}{{ end }}
{{- $out = mergeOverwrite $out (include "skimmer.tracing" .root | fromYaml) }}
{{- $out = mergeOverwrite $out (include "skimmer.daemonTLS" .root | fromYaml) }}
{{- $out = mergeOverwrite $out (include "skimmer.moved" (dict "config" $config "moved" $keys.moved) | fromYaml) }}
{{- $rules := list }}
{{- range dig "proxy" "proxies" (list) $config }}
{{- if not .direct }}{{ $rules = append $rules (pick . "regx" "useHTTPS" "redirect") }}{{ end }}
{{- end }}
{{- if $rules }}{{ $out = mergeOverwrite $out (dict "proxy" (dict "rules" $rules)) }}{{ end }}
{{- $rest := include "skimmer.without" (dict "config" $config "dropped" $keys.dropped) | fromYaml }}
{{- toYaml (mergeOverwrite $out $rest) }}
{{- end }}

{{/* dfdaemon.yaml of the nodes */}}
{{- define "skimmer.nodeConfig" -}}
{{- $values := include "skimmer.dfdaemon" . | fromYaml }}
{{- $defaults := dict "storage" (dict "dir" "/var/lib/dragonfly") "server" (dict "cacheDir" "/var/cache/dragonfly") "mount" (dict "enable" $values.mount.enable "path" (printf "%s/blobs" $values.mount.hostPath)) }}
{{- include "skimmer.daemonConfig" (dict "root" . "config" $values.config "defaults" $defaults) }}
{{- end }}

{{/* dfdaemon.yaml of the seeds */}}
{{- define "skimmer.seedConfig" -}}
{{- $values := include "skimmer.seedPeer" . | fromYaml }}
{{- $defaults := dict "seedPeer" (dict "enable" true) "storage" (dict "dir" "/var/lib/dragonfly") "server" (dict "cacheDir" "/var/cache/dragonfly") "mount" (dict "enable" false) }}
{{- include "skimmer.daemonConfig" (dict "root" . "config" $values.config "defaults" $defaults) }}
{{- end }}

{{- define "skimmer.schedulerConfig" -}}
{{- $values := .Values.scheduler }}
{{- $out := dict "server" (dict "port" $values.containerPort) "metrics" (dict "enable" $values.metrics.enable "addr" ":8000") }}
{{- with include "skimmer.managerAddr" . }}{{ $out = mergeOverwrite $out (dict "manager" (dict "addr" . "schedulerClusterID" 1)) }}{{ end }}
{{- with include "skimmer.redis" . | fromYaml }}{{ $out = mergeOverwrite $out (dict "database" (dict "redis" .)) }}{{ end }}
{{- $out = mergeOverwrite $out (include "skimmer.tracing" . | fromYaml) }}
{{- $out = mergeOverwrite $out (include "skimmer.schedulerTLS" . | fromYaml) }}
{{- $dropped := list "verbose" "jaeger" "trainer" "networkTopology" "security" "dynConfig.type" "server.workHome" "server.cacheDir" "server.dataDir" }}
{{- toYaml (mergeOverwrite $out (include "skimmer.without" (dict "config" $values.config "dropped" $dropped) | fromYaml)) }}
{{- end }}

{{- define "skimmer.managerConfig" -}}
{{- $values := .Values.manager }}
{{- $out := dict "server" (dict "grpc" (dict "port" (dict "start" $values.grpcPort)) "rest" (dict "addr" (printf ":%v" $values.restPort)) "consoleDir" "/usr/share/skimmer/console") "metrics" (dict "enable" $values.metrics.enable "addr" ":8000") }}
{{- $database := dict "type" "sqlite" "sqlite" (dict "path" "/var/lib/dragonfly/manager.db") }}
{{- if .Values.mysql.enable }}{{ fail "mysql.enable: the chart brings no MySQL. The manager has an embedded database; an external one is named by externalMysql.host" }}{{ end }}
{{- with .Values.externalMysql }}{{ if .host }}{{ $database = dict "type" "mysql" "mysql" (dict "host" .host "port" .port "user" .username "password" .password "dbname" .database "migrate" .migrate) }}{{ end }}{{ end }}
{{- with .Values.externalPostgres }}{{ if .host }}{{ $database = dict "type" "postgres" "postgres" (dict "host" .host "port" .port "user" .username "password" .password "dbname" .database "migrate" .migrate) }}{{ end }}{{ end }}
{{- if and (eq $database.type "sqlite") (gt (int $values.replicas) 1) }}{{ fail "manager.replicas above 1 needs an external database (externalMysql or externalPostgres): each would have one of its own" }}{{ end }}
{{- if and (gt (int $values.replicas) 1) (not $values.keySecret) }}{{ fail "manager.replicas above 1 needs manager.keySecret: all managers of one database need the same key (see values.yaml)" }}{{ end }}
{{- if $values.keySecret }}{{ $out = mergeOverwrite $out (dict "auth" (dict "keyFile" "/etc/skimmer-key/manager.key")) }}{{ end }}
{{- $out = mergeOverwrite $out (dict "database" $database) }}
{{- with include "skimmer.redis" . | fromYaml }}{{ $out = mergeOverwrite $out (dict "database" (dict "redis" .)) }}{{ end }}
{{- $out = mergeOverwrite $out (include "skimmer.tracing" . | fromYaml) }}
{{- $out = mergeOverwrite $out (include "skimmer.managerTLS" . | fromYaml) }}
{{- $dropped := list "verbose" "jaeger" "trainer" "objectStorage" "security" "server.workHome" "server.cacheDir" }}
{{- toYaml (mergeOverwrite $out (include "skimmer.without" (dict "config" $values.config "dropped" $dropped) | fromYaml)) }}
{{- end }}

{{/* dfinit.yaml; nothing if no runtime shall be set up */}}
{{- define "skimmer.dfinitConfig" -}}
{{- $node := include "skimmer.dfdaemon" . | fromYaml }}
{{- $port := dig "proxy" "server" "port" 4001 (include "skimmer.nodeConfig" . | fromYaml) }}
{{- $out := dict "proxy" (dict "addr" (printf "http://127.0.0.1:%v" $port)) }}
{{- $runtimes := dict }}
{{- with .Values.containerRuntime.containerd }}
{{- if get (.injectRegistryCredencials | default dict) "enable" }}{{ fail "containerRuntime.containerd.injectRegistryCredencials: dfinit writes no credentials; the kubelet hands on those of imagePullSecrets" }}{{ end }}
{{- if .enable }}
{{- $registries := list }}
{{- range .registries }}{{ $registries = append $registries (dict "hostNamespace" (last (splitList "://" .)) "serverAddr" .) }}{{ end }}
{{- $_ := set $runtimes "containerd" (dict "configPath" (printf "%s/%s" .configPathDir (.configFileName | default "config.toml")) "registries" $registries "proxyAllRegistries" (empty .registries)) }}
{{- end }}
{{- end }}
{{- if .Values.containerRuntime.docker.enable }}{{ $_ := set $runtimes "docker" (dict "configPath" "/etc/docker/daemon.json") }}{{ end }}
{{- with .Values.containerRuntime.crio }}
{{- if .enable }}
{{- $registries := list }}
{{- range .registries }}{{ $registries = append $registries (dict "prefix" (last (splitList "://" .))) }}{{ end }}
{{- $_ := set $runtimes "crio" (dict "configPath" "/etc/containers/registries.conf" "registries" $registries) }}
{{- end }}
{{- end }}
{{- if $runtimes }}{{ $out = mergeOverwrite $out (dict "containerRuntime" $runtimes) }}{{ end }}
{{- if $node.dfinit.enable }}{{ $out = mergeOverwrite $out ($node.dfinit.config | default dict) }}{{ end }}
{{- if or $runtimes $node.dfinit.enable }}{{ toYaml $out }}{{ end }}
{{- end }}
