{{- /* What KEDA's chart makes, by kind and name, for the values that the platform sets. Nothing in its pods ever runs here. */}}
{{- define "pod" }}
securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
containers:
  - name: {{ .name }}
    image: {{ printf "%s:%s" .image .root.Chart.AppVersion }}
    args: {{ .args | toJson }}
    resources: {{ .resources | toJson }}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}
{{- $root := . }}
{{- $parts := list
  (dict "name" "keda-operator" "account" "keda-operator" "replicas" .Values.operator.replicaCount "resources" .Values.resources.operator
    "image" "kedacore/keda" "port" 9666 "service" 9666)
  (dict "name" "keda-operator-metrics-apiserver" "account" "keda-metrics-server" "replicas" .Values.metricsServer.replicaCount
    "resources" .Values.resources.metricServer "image" "kedacore/keda-metrics-apiserver" "port" 6443 "service" 443)
  (dict "name" "keda-admission-webhooks" "account" "keda-webhook" "replicas" .Values.webhooks.replicaCount "resources" .Values.resources.webhooks
    "image" "kedacore/keda-admission-webhooks" "port" 9443 "service" 443) }}
{{- range $parts }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .account }}, namespace: {{ $root.Release.Namespace }}}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .name }}, namespace: {{ $root.Release.Namespace }}}
spec:
  selector: {app: {{ .name }}}
  ports: [{name: main, port: {{ .service }}, targetPort: {{ .port }}, protocol: TCP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .name }}, namespace: {{ $root.Release.Namespace }}}
spec:
  replicas: {{ .replicas }}
  selector: {matchLabels: {app: {{ .name }}}}
  template:
    metadata: {labels: {app: {{ .name }}}}
    spec:
      serviceAccountName: {{ .account }}
      {{- include "pod" (merge (dict "root" $root "args" (list (printf "--watch=%s" $root.Values.watchNamespace))) .) | nindent 6 }}
{{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: keda-operator, namespace: {{ .Release.Namespace }}}
spec:
  minAvailable: {{ .Values.podDisruptionBudget.operator.minAvailable }}
  selector: {matchLabels: {app: keda-operator}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: keda-operator}
rules:
  - {apiGroups: [keda.sh], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: keda-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keda-operator}
subjects: [{kind: ServiceAccount, name: keda-operator, namespace: {{ .Release.Namespace }}}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.external.metrics.k8s.io}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true  # KEDA's operator writes the authority here, and does not run
  service: {name: keda-operator-metrics-apiserver, namespace: {{ .Release.Namespace }}, port: 443}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: keda-admission}
webhooks:
  - name: vscaledobject.kb.io
    admissionReviewVersions: [v1]
    failurePolicy: Ignore
    sideEffects: None
    timeoutSeconds: 10
    clientConfig:
      service: {name: keda-admission-webhooks, namespace: {{ .Release.Namespace }}, path: /validate-keda-sh-v1alpha1-scaledobject, port: 443}
    rules: [{apiGroups: [keda.sh], apiVersions: [v1alpha1], operations: [CREATE, UPDATE], resources: [scaledobjects], scope: Namespaced}]
