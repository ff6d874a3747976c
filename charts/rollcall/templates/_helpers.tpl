{{- define "rollcall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "rollcall.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "rollcall.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "rollcall.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "rollcall.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rollcall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rollcall.labels" -}}
{{ include "rollcall.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "rollcall.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "rollcall.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "rollcall.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "rollcall.impersonate" -}}
- apiGroups: [""]
  resources: [serviceaccounts]
  {{- with .Values.rbac.impersonate.names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [impersonate]
{{- end }}

{{- define "rollcall.checkRights" -}}
{{- if not .Values.rbac.ownRights }}
{{- if not .Values.defaultServiceAccount }}
{{- fail "rbac.ownRights is false: set defaultServiceAccount, as which GitSyncs write that name no ServiceAccount" }}
{{- end }}
{{- if not .Values.rbac.impersonate.enabled }}
{{- fail "rbac.ownRights is false: set rbac.impersonate.enabled: true, or rollcall can write nothing" }}
{{- end }}
{{- if .Values.rbac.extraRules }}
{{- fail "rbac.ownRights is false and rbac.extraRules are rollcall's own: give these rights to the ServiceAccounts of the GitSyncs" }}
{{- end }}
{{- end }}
{{- end }}
