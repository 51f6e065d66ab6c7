"""Who may do what in Elasticsearch: four users of its file realm, each with the least role. ECK reads both from Secrets."""

from __future__ import annotations

from typing import Any, Final

import yaml

# Every index, alias and template of this program begins with it, copies made by a restore too.
PATTERN: Final = "teal*"
APP: Final = "teal-app"
OPERATOR: Final = "teal-operator"
SETUP: Final = "teal-setup"
METRICS: Final = "teal-metrics"
PASSWORD_CHARACTERS: Final = 32


def roles() -> dict[str, Any]:
    """Roles by name, in the form of Elasticsearch's roles.yml. Nobody may read the security index, change settings or see other indices."""
    return {
        # The service: makes its index behind the alias, writes and reads it. It cannot snapshot or restore.
        APP: {"cluster": ["monitor", "manage_index_templates"], "indices": [_own()]},
        # `python -m app.admin snapshot | verify | restore`, in a Job of its own.
        OPERATOR: {
            "cluster": [
                "monitor",
                "manage_index_templates",
                "create_snapshot",
                "monitor_snapshot",
                "cluster:admin/snapshot/restore",
                "cluster:admin/snapshot/delete",
                "cluster:admin/repository/verify",
                "read_slm",
            ],
            "indices": [_own()],
        },
        # The pod that turns health into metrics: reads numbers, and no document.
        METRICS: {"cluster": ["monitor", "monitor_snapshot"], "indices": []},
        # The set-up job. SLM takes its snapshots with the rights of whoever wrote the policy, so it holds those as well.
        SETUP: {
            "cluster": [
                "monitor",
                "manage_slm",
                "manage_ilm",
                "manage_index_templates",
                "cluster:admin/repository/put",
                "cluster:admin/repository/get",
                "cluster:admin/repository/verify",
                "cluster:admin/snapshot/*",
            ],
            "indices": [
                {"names": [PATTERN], "privileges": ["manage", "view_index_metadata"]},
                {"names": [".slm-history-*"], "privileges": ["all"]},
            ],
        },
    }


def _own() -> dict[str, Any]:
    """Made anew for each role: YAML would point from one to the other, and Elasticsearch reads each role alone."""
    return {"names": [PATTERN], "privileges": ["manage", "read", "write", "view_index_metadata"]}


def roles_file() -> str:
    """`roles.yml`. In YAML's block form: Elasticsearch splits the file by its lines, and of JSON sees the first role only."""
    return yaml.safe_dump(roles(), sort_keys=False, default_flow_style=False)


def basic_auth(username: str, password: Any) -> dict[str, Any]:
    """Content of a user's Secret: ECK hashes the password and gives the user the role of the same name."""
    return {"username": username, "password": password, "roles": username}
