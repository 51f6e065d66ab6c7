"""The EKS add-ons of the cluster with pinned versions:
without one, an add-on is never upgraded, and two environments get different versions.

All are for Kubernetes 1.35. AWS's own list could not be read here: the versions are those that public programs run on 1.35, and
`teal plan` asks EKS whether it offers them before anything is made (teal/aws/fit.py).
runbooks/kubernetes-upgrade.md describes how to change them.
"""

from __future__ import annotations

from typing import Final

METRICS_SERVER: Final = "metrics-server"
STATE_METRICS: Final = "kube-state-metrics"
SECRETS_DRIVER: Final = "aws-secrets-store-csi-driver-provider"  # pragma: allowlist secret
CLOUDWATCH: Final = "amazon-cloudwatch-observability"

VERSIONS: Final = {
    METRICS_SERVER: "v0.8.1-eksbuild.6",  # three public programs pin it for 1.35; one says that EKS lists it for 1.35
    STATE_METRICS: "v2.18.0-eksbuild.1",  # two public programs pin it, one for 1.35
    SECRETS_DRIVER: "v3.1.3-eksbuild.1",  # a public program pins it for 1.35, as "discovered for the selected EKS version and region"  # pragma: allowlist secret
    CLOUDWATCH: "v4.10.3-eksbuild.1",  # aws-observability/application-signals-demo, pull request 334 (2026-04-07): 5.3.0 broke
}
