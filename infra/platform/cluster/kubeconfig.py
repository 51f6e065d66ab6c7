"""The kubeconfig with which both programs reach the cluster."""

from __future__ import annotations

import json


def kubeconfig(region: str, name: str, endpoint: str, ca_data: str) -> str:
    """A kubeconfig without a secret: the AWS command makes a token (15 minutes) at each use, because a release may take longer."""
    exec_ = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",  # the default version of `aws eks get-token`
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
        "interactiveMode": "Never",
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": ca_data}}],
            "users": [{"name": name, "user": {"exec": exec_}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )
