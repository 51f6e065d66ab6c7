"""The configuration that Elasticsearch gets by its API once it runs:
the snapshot repository, the snapshot schedule, the index templates.

Plain data: a list of requests, and the Job that sends them (`search_setup.sh`). ECK's StackConfigPolicy would do it, with an
Enterprise licence. Every request can be repeated; all are sent again whenever one of them changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from infra.config.sections import SearchConfig
from infra.platform.cluster import restricted
from infra.platform.search.resources import CA_SECRET, URL, USER

NAME: Final = "search-setup"
REPOSITORY: Final = "teal"
SLM_POLICY: Final = "teal"
ILM_POLICY: Final = "teal-passages"
TEMPLATE: Final = "teal-defaults"
PATTERN: Final = "teal-*"
BASE_PATH: Final = "elasticsearch"  # folder in the bucket
SCRIPT: Final = Path(__file__).with_name("search_setup.sh")
DEADLINE_SECONDS: Final = 2400  # enough for machine 3 min, disk 1 min, image 2 min and the election
RECOVERY_PRIORITY: Final = 100  # after a restart these indices are recovered first; the others have 0


class ElasticsearchRequest(NamedTuple):
    """One call of Elasticsearch's REST interface. `path` begins with a slash; no `body`: none is sent."""

    method: str
    path: str
    body: dict[str, Any] | None = None


def requests(config: SearchConfig, bucket: str) -> list[ElasticsearchRequest]:
    """All requests, in the order of their dependencies."""
    return [
        ElasticsearchRequest("PUT", f"/_snapshot/{REPOSITORY}?verify=true", repository_body(bucket)),
        ElasticsearchRequest(
            "POST", f"/_snapshot/{REPOSITORY}/_verify"
        ),  # once more, from every node: a wrong role fails here, not at night
        ElasticsearchRequest("PUT", f"/_slm/policy/{SLM_POLICY}", slm_policy_body(config)),
        ElasticsearchRequest("PUT", f"/_ilm/policy/{ILM_POLICY}", lifecycle_policy()),
        ElasticsearchRequest("PUT", f"/_index_template/{TEMPLATE}", template_body(config)),
        # The template applies to future indices; these requests apply to existing ones. It is no error if there are none.
        ElasticsearchRequest(
            "PUT", f"/{PATTERN}/_settings?ignore_unavailable=true&allow_no_indices=true", index_settings_body(config)
        ),
    ]


def repository_body(bucket: str) -> dict[str, Any]:
    """Body of PUT _snapshot/<name>. Credentials come from the pod's service account; the bucket encrypts with its key by itself."""
    return {"type": "s3", "settings": {"bucket": bucket, "base_path": BASE_PATH}}


def slm_policy_body(config: SearchConfig) -> dict[str, Any]:
    """Body of PUT _slm/policy/<id>: indices only, because users and roles come from this program. SLM makes each name unique."""
    said = config.snapshot
    return {
        "name": "<teal-{now/d}>",
        "schedule": said.schedule,
        "repository": REPOSITORY,
        "config": {"indices": [PATTERN], "include_global_state": False, "partial": False},
        "retention": {"expire_after": f"{said.keep_days}d", "min_count": said.min_count, "max_count": said.max_count},
    }


def lifecycle_policy() -> dict[str, Any]:
    """Body of PUT _ilm/policy/<name>: opened first after a restart, never rolled over, never deleted by age: the catalog decides."""
    return {"policy": {"phases": {"hot": {"min_age": "0ms", "actions": {"set_priority": {"priority": RECOVERY_PRIORITY}}}}}}


def index_settings_body(config: SearchConfig) -> dict[str, Any]:
    """Body of PUT <indices>/_settings: what may change while an index is in use."""
    return {
        "index": {
            "number_of_replicas": config.replicas,
            "refresh_interval": config.refresh_interval,
            "lifecycle": {"name": ILM_POLICY},
        }
    }


def template_body(config: SearchConfig) -> dict[str, Any]:
    """Body of PUT _index_template/<name>. The service's own template (priority 200) wins where it applies; this one covers restored copies."""
    index = {"number_of_shards": config.shards, **index_settings_body(config)["index"]}
    return {"index_patterns": [PATTERN], "priority": 100, "template": {"settings": {"index": index}}}


def files(sent: Sequence[ElasticsearchRequest]) -> dict[str, str]:
    """The ConfigMap's files: the script, the list of requests (method, path, body's file or -), and the bodies."""
    lines: list[str] = []
    content: dict[str, str] = {}
    for number, one in enumerate(sent, 1):
        body = "-" if one.body is None else f"{number:02}.json"
        lines.append(f"{one.method} {one.path} {body}")
        if one.body is not None:
            content[body] = json.dumps(one.body, indent=1)
    return {"run.sh": SCRIPT.read_text(), "requests": "\n".join(lines) + "\n", **content}


def job_name(content: dict[str, str], version: str) -> str:
    """The Job's name, which contains a hash of its content:
    a Job cannot be changed, so changed content makes a new Job and then deletes the old one."""
    digest = hashlib.sha256(json.dumps([content, version], sort_keys=True).encode()).hexdigest()
    return f"{NAME}-{digest[:8]}"


def job(version: str, config_map: str, user_secret: str) -> dict[str, Any]:
    """The Job's spec: restricted, with a deadline, tried four times.
    It uses Elastic's image, which has curl and is already on search nodes."""
    environment: list[dict[str, Any]] = [
        {"name": "URL", "value": URL},
        {"name": "CA", "value": "/ca/ca.crt"},
        {"name": "REQUESTS", "value": "/setup/requests"},
        *(
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": user_secret, "key": key}}}
            for variable, key in (("USERNAME", "username"), ("PASSWORD", "password"))
        ),
    ]
    container = {
        "name": "setup",
        "image": f"docker.elastic.co/elasticsearch/elasticsearch:{version}",  # by version: its digest was not seen (unverified)
        "command": ["/bin/sh", "/setup/run.sh"],
        "env": environment,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "250m", "memory": "128Mi"}},
        "securityContext": restricted.CONTAINER,
        "volumeMounts": [
            {"name": "setup", "mountPath": "/setup", "readOnly": True},
            {"name": "ca", "mountPath": "/ca", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": restricted.pod_of(USER),
        "containers": [container],
        "volumes": [
            {"name": "setup", "configMap": {"name": config_map}},
            {"name": "ca", "secret": {"secretName": CA_SECRET, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "teal"}
    return {
        "backoffLimit": 3,
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
