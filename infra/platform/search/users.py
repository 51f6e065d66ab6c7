"""The four users of Elasticsearch's file realm, each with a minimal role. ECK reads users and roles from Secrets."""

from __future__ import annotations

from typing import Any, Final

import yaml

# The prefix of every index, alias and template of this program, also of copies made by a restore.
PATTERN: Final = "teal*"
APP: Final = "teal-app"
OPERATOR: Final = "teal-operator"
SETUP: Final = "teal-setup"
METRICS: Final = "teal-metrics"
PASSWORD_CHARACTERS: Final = 32


def roles() -> dict[str, Any]:
    """Roles by name, in the form of Elasticsearch's roles.yml.
    No role may read the security index, change settings or see other indices."""
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
        # The metrics exporter: reads statistics, but no document.
        METRICS: {"cluster": ["monitor", "monitor_snapshot"], "indices": []},
        # The set-up Job. SLM takes snapshots with the rights of the user that wrote the policy,
        # so this role has these rights too.
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
    """The privileges on the program's own indices. A new object for each role, because YAML would use references between roles,
    and Elasticsearch parses each role separately."""
    return {"names": [PATTERN], "privileges": ["manage", "read", "write", "view_index_metadata"]}


def roles_file() -> str:
    """The content of `roles.yml`, in YAML's block style:
    Elasticsearch splits the file by lines and would read only the first role of JSON."""
    return yaml.safe_dump(roles(), sort_keys=False, default_flow_style=False)


def basic_auth(username: str, password: Any) -> dict[str, Any]:
    """Content of a user's Secret: ECK hashes the password and gives the user the role of the same name."""
    return {"username": username, "password": password, "roles": username}
