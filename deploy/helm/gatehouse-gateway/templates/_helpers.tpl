{{- define "gatehouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gatehouse.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "gatehouse.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gatehouse.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gatehouse.selector" -}}
app.kubernetes.io/name: {{ include "gatehouse.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The pod of "helm test". Its name differs, so that the Service of the gateway does not select it. */ -}}
{{- define "gatehouse.testSelector" -}}
app.kubernetes.io/name: {{ include "gatehouse.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gatehouse.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "gatehouse.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "gatehouse.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Whether there can be more than one replica. */ -}}
{{- define "gatehouse.several" -}}
{{- if .Values.autoscaling.enabled -}}
{{- if gt (int .Values.autoscaling.maxReplicas) 1 }}true{{ end -}}
{{- else if gt (int .Values.replicas) 1 }}true{{ end -}}
{{- end }}

{{- /* 80 % of the memory limit in bytes, or nothing if there is no limit. */ -}}
{{- define "gatehouse.memoryLimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if $limit -}}
{{- if not (regexMatch "^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$" $limit) -}}
{{- fail (printf "resources.limits.memory %q is not a whole number with one of the units k, M, G, Ki, Mi, Gi; write it like 256Mi" $limit) -}}
{{- end -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 -}}
{{- div (mul (regexFind "^[0-9]+" $limit | int64) (index $units (regexFind "[A-Za-z]*$" $limit) | int64) 8) 10 -}}
{{- end -}}
{{- end }}

{{- /* The content of gateway.yaml. */ -}}
{{- define "gatehouse.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "listen" ":3000" -}}
{{- $_ := set $config "drain_delay" (printf "%ds" (int .Values.drainSeconds)) -}}
{{- $_ := set $config "shutdown_timeout" (printf "%ds" (int .Values.shutdownSeconds)) -}}
{{- $_ := set $config "key_folder" "/var/lib/gatehouse" -}}
{{- if .Values.keys.existingSecret -}}
{{- $_ := set $config "session_key_file" "/etc/gatehouse-keys/session-key" -}}
{{- $_ := set $config "assertion_key_file" "/etc/gatehouse-keys/assertion-key.pem" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{- /* JSON: the paths of each host, {"mcp.example.com": ["/mcp", …]}, from the URLs of the endpoints. */ -}}
{{- define "gatehouse.hosts" -}}
{{- $hosts := dict -}}
{{- range .Values.config.endpoints -}}
{{- if .local_path -}}
{{- fail (printf "local_path of the endpoint %s has no effect: the chart's routes do not change the path; remove it, or write a route of your own" .url) -}}
{{- end -}}
{{- if not (regexMatch "^https://[^/$]" .url) -}}
{{- fail (printf "the url %q of an endpoint does not begin with https:// and a host, which the routes need; write it like https://mcp.example.com/mcp" .url) -}}
{{- end -}}
{{- $url := urlParse .url -}}
{{- $_ := set $hosts $url.hostname (append (get $hosts $url.hostname | default list) ($url.path | default "/")) -}}
{{- end -}}
{{- toJson $hosts -}}
{{- end }}

{{- /* Faults that a schema cannot find. */ -}}
{{- define "gatehouse.check" -}}
{{- if and (include "gatehouse.several" .) (not .Values.keys.existingSecret) -}}
{{- fail "keys.existingSecret is empty, and replicas with random keys do not accept the sessions and assertions of each other; make the Secret as values.yaml says and set keys.existingSecret to its name, or set replicas to 1" -}}
{{- end -}}
{{- if eq (int .Values.operator.port) 3000 -}}
{{- fail "operator.port 3000 is the port of users; use another one, like 9090" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty; name the Gateway, like [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas %d is more than autoscaling.maxReplicas %d; swap them" (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- end }}
