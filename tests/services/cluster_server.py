"""The few calls of Kubernetes' API that Teal makes, over a dictionary: enough to see what a releaser asks and how it takes the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from teal.aws.kubernetes import KubernetesClient


@dataclass
class ClusterServer:
    """`on_job`: what a created Job comes to: (conditions, log, the pod's status)."""

    on_job: Callable[[dict[str, Any]], tuple[list[dict[str, str]], str, dict[str, Any]]] | None = None
    objects: dict[str, Any] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # status codes that the next reads get

    def cluster(self) -> KubernetesClient:
        transport = httpx.MockTransport(self.answer)
        return KubernetesClient(httpx.Client(transport=transport, base_url="https://cluster.example"), "teal-prod")

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requests.append((request.method, path))
        if request.method == "POST":
            return self._create(path, json.loads(request.content))
        if request.method == "GET" and self.failures:
            return httpx.Response(self.failures.pop(0), json={"kind": "Status", "message": "the server is starting"})
        if path not in self.objects:
            return httpx.Response(404, json={"kind": "Status", "message": "not found"})
        if request.method == "DELETE":
            del self.objects[path]
            return httpx.Response(200, json={"kind": "Status"})
        found = self.objects[path]
        if request.method == "PATCH":
            assert request.headers["Content-Type"] == "application/merge-patch+json"
            found["spec"] |= json.loads(request.content)["spec"]
        return httpx.Response(200, text=found) if isinstance(found, str) else httpx.Response(200, json=found)

    def _create(self, path: str, job: dict[str, Any]) -> httpx.Response:
        self.created.append(job)
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        if self.on_job is not None:
            conditions, log, pod = self.on_job(job)
            self.objects[f"{path}/{name}"] = {**job, "status": {"conditions": conditions}}
            pods = f"/api/v1/namespaces/{namespace}/pods"
            self.objects[pods] = {"items": [{"metadata": {"name": f"{name}-x"}, "status": pod}]}
            self.objects[f"{pods}/{name}-x/log"] = log
        return httpx.Response(201, json=job)
