"""Rules about workloads in the cluster: Deployments, StatefulSets, Jobs, CronJobs, their autoscalers and disruption budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.policy.resource import UNKNOWN, Resource, as_objects, mapping

_LONG_RUNNING: Final = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet", "kubernetes:apps/v1:DaemonSet")
_POD_OWNERS: Final = (*_LONG_RUNNING, "kubernetes:batch/v1:Job", "kubernetes:batch/v1:CronJob", "kubernetes:core/v1:Pod")
# Registries whose digests could not be read here: their images are pinned by version.
# Images from the stack's own registry have digests.
_OWN_REGISTRY: Final = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_VERSION: Final = re.compile(r":v?\d+(\.\d+)+([.+-][\w.-]+)?$")
_SERVICE_NAMESPACE: Final = re.compile(r"^teal-(blue|green)$")
MIN_REPLICAS: Final = {"prod": 2}  # by environment, which is the prefix of a stack's name; elsewhere one pod is enough


def pod_spec(resource: Resource) -> Mapping[str, Any]:
    """The pod spec of a resource that owns pods; empty for other resources, and where a preview does not know it."""
    if resource.type not in _POD_OWNERS:
        return {}
    spec = mapping(resource.inputs.get("spec"))
    if resource.type == "kubernetes:core/v1:Pod":
        return spec
    if resource.type == "kubernetes:batch/v1:CronJob":
        spec = mapping(mapping(spec.get("jobTemplate")).get("spec"))
    return mapping(mapping(spec.get("template")).get("spec"))


def containers(resource: Resource) -> list[Mapping[str, Any]]:
    """All containers, init containers included."""
    spec = pod_spec(resource)
    return [*as_objects(spec.get("initContainers")), *as_objects(spec.get("containers"))]


def namespace_of(resource: Resource) -> str:
    """The namespace of the resource; empty when it is not set."""
    return str(mapping(resource.inputs.get("metadata")).get("namespace") or "")


def images(resource: Resource) -> Iterator[str]:
    """The service's images are given by digest, so that the tested image is the one that runs; other images by a full version."""
    for container in containers(resource):
        image = container.get("image")
        if not isinstance(image, str) or image == UNKNOWN or _DIGEST.search(image):
            continue
        if _OWN_REGISTRY.match(image) or _SERVICE_NAMESPACE.match(namespace_of(resource)):
            yield f"{container.get('name')}: {image} has no digest; a tag can come to mean something else"
        elif not _VERSION.search(image):
            yield f"{container.get('name')}: {image} has neither digest nor version"


def check_limits(resource: Resource) -> Iterator[str]:
    """Containers have requests for the scheduler, and limits, so that one pod cannot take a node down."""
    for container in containers(resource):
        resources = mapping(container.get("resources"))
        for kind in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if not mapping(resources.get(kind)).get(what):
                    yield f"{container.get('name')}: no {what} in {kind}"


def probes(resource: Resource) -> Iterator[str]:
    """A long-running container is restarted when it hangs; one behind a Service gets no request before it is ready."""
    if resource.type not in _LONG_RUNNING:
        return
    for container in as_objects(pod_spec(resource).get("containers")):
        if not container.get("livenessProbe"):
            yield f"{container.get('name')}: no liveness probe"
        serves = any(port.get("name") == "http" for port in as_objects(container.get("ports")))
        if serves and not container.get("readinessProbe"):
            yield f"{container.get('name')}: serves HTTP and has no readiness probe"


def restricted(resource: Resource) -> Iterator[str]:
    """Pods have Kubernetes' restricted profile and a read-only root file system."""
    spec = pod_spec(resource)
    whole = mapping(spec.get("securityContext"))
    for switch in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(switch):
            yield f"{switch} is on"
    if spec and any("hostPath" in volume for volume in as_objects(spec.get("volumes"))):
        yield "a volume is a path of the node"
    for container in containers(resource):
        own = mapping(container.get("securityContext"))
        name = container.get("name")
        if own.get("privileged"):
            yield f"{name}: privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation is not off"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name}: its root file system can be written"
        if (own.get("runAsNonRoot", whole.get("runAsNonRoot"))) is not True:
            yield f"{name}: may run as root"
        if "ALL" not in (mapping(own.get("capabilities")).get("drop") or ()):
            yield f"{name}: keeps Linux capabilities"
        if not (own.get("seccompProfile") or whole.get("seccompProfile")):
            yield f"{name}: no seccomp profile"


def check_replicas(resource: Resource) -> Iterator[str]:
    """An autoscaler sets the number of replicas, with a minimum; disruption budgets let nodes rotate;
    a search cluster has a majority."""
    spec = mapping(resource.inputs.get("spec"))
    match resource.type:
        case "kubernetes:apps/v1:Deployment" if _SERVICE_NAMESPACE.match(namespace_of(resource)) and "replicas" in spec:
            yield "`replicas` is set: each `up` would undo what the autoscaler decided"
        case "kubernetes:autoscaling/v2:HorizontalPodAutoscaler":
            floor, least = MIN_REPLICAS.get(resource.stack.split("-")[0], 1), spec.get("minReplicas")
            if least != UNKNOWN and int(least or 0) < floor:
                yield f"minReplicas is {least or 'not set'}; at least {floor} here"
        case "kubernetes:policy/v1:PodDisruptionBudget":
            if spec.get("maxUnavailable") in (None, 0, "0", "0%") and not spec.get("minAvailable"):
                yield "the disruption budget says nothing, or never lets a node go"
        case "aws:elasticache/replicationGroup:ReplicationGroup":
            if int(resource.inputs.get("numCacheClusters") or 1) > 1 and not resource.inputs.get("automaticFailoverEnabled"):
                yield "there is a replica and nobody promotes it; set automatic_failover_enabled"
        case "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch":
            nodes = sum(int(nodes.get("count") or 0) for nodes in as_objects(spec.get("nodeSets")))
            if nodes == 2:
                yield "two nodes have no majority: one or at least three"
        case _:
            return
