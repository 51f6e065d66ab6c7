"""The platform's `up` killed while Helm works, and a state that was lost: the runbook's own blocks mend both. One story, in this order.

Helm keeps a record of its own of each version of a release, a Secret, which Pulumi's provider neither repairs nor adopts. What is real and
what stands in: platform_stack.py.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
import pytest

from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from teal.aws import helm_releases
from tests.cluster.apiserver import TOKEN
from tests.engine import charts, inventory, platform_stack
from tests.engine.platform_stack import RELEASES, STACK, UNCHANGED, Platform
from tests.engine.workspace import kill
from tests.runbooks import pages

PAGE: Final = "stuck-pulumi-state"
_BEGUN_SECONDS: Final = 400.0  # an `up` reaches Helm after 20 s alone on two cores
VERSIONS: Final = {charts.KEDA: autoscaling.VERSION, charts.ECK: operator.VERSION}

# `kubectl -n NAMESPACE delete secret --selector SELECTOR` by curl: there is no kubectl here.
_BY_API: Final = """
kubectl() {
  test "$1 $3 $4 $5" = "-n delete secret --selector"
  curl --silent --show-error --fail --output /dev/null --cacert "$SERVER_CA" --header "Authorization: Bearer $TOKEN" \\
    --get --request DELETE --data-urlencode "labelSelector=$6" "$SERVER/api/v1/namespaces/$2/secrets"
}
"""

pytestmark = [pytest.mark.timeout(1800), pytest.mark.weekly]  # the first test builds what is missing


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform_stack.start(tmp_path_factory) as started:
        yield started


@contextmanager
def helm_at_work(platform: Platform, status: str, number: int) -> Iterator[subprocess.Popen[bytes]]:
    """An `up`, from when Helm waits for the pods of both releases to the end of the block."""
    with platform.kubernetes.pods.waiting():
        running = platform.workspace.start("up", "--stack", STACK, "--yes", "--skip-preview")
        platform.kubernetes.server.wait(
            lambda: [one.get(number) for one in platform.records().values()] == [status, status],
            f"both releases {status}",
            _BEGUN_SECONDS,
        )
        yield running


def refused(platform: Platform) -> str:
    """What `up` says, which must fail."""
    ended = platform.workspace.run("up", "--stack", STACK, "--yes", "--skip-preview")
    assert ended.code != 0
    return ended.text


def follow(platform: Platform, name: str) -> None:
    """A block of the runbook, by bash, without `teal plan`: it asks AWS."""
    (block,) = (one for page in pages.pages() if page.slug == PAGE for one in page.blocks if one.name == name)
    server = platform.kubernetes.server
    script = [_BY_API, *(line for line in block.text.splitlines() if not line.startswith("teal plan"))]
    space, trust = platform.workspace, {"SERVER": server.url, "SERVER_CA": str(server.ca), "TOKEN": TOKEN}
    variables = {**os.environ, **space.environment, **trust, "STACK": STACK, "PULUMI_SKIP_CONFIRMATIONS": "true"}
    ended = subprocess.run(
        ["bash", "-euc", "\n".join(script)],
        cwd=space.folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"[-6000:]


def cut_off(platform: Platform) -> list[str]:
    """What `teal plan` says of Helm's releases."""
    return [row.detail for row in helm_releases.cut_off(platform.cli().resources(STACK))]


def versions(*statuses: str) -> dict[str, dict[int, str]]:
    """Both releases with these records, the first version's first."""
    return {name: dict(enumerate(statuses, 1)) for name in RELEASES.values()}


def test_a_first_up_whose_machine_dies_while_helm_installs_is_finished_by_the_next_one(platform: Platform) -> None:
    space = platform.workspace
    with helm_at_work(platform, "pending-install", 1) as running:
        kill(running)
    space.must("cancel", STACK, "--yes")
    assert "cannot re-use a name that is still in use" in refused(platform)
    follow(platform, "unlock-aws")
    assert platform.records() == {}
    space.up(STACK)
    assert platform.records() == versions("deployed")
    assert platform.image_tags() == VERSIONS
    assert set(space.up(STACK, "--refresh")) == UNCHANGED


def test_what_helm_does_goes_on_when_the_pulumi_command_alone_is_killed(platform: Platform) -> None:
    """Its providers look only every five minutes whether their engine is there. The same block then mends the state alone."""
    space = platform.workspace
    platform.take(later=True)
    with helm_at_work(platform, "pending-upgrade", 2) as running:
        left = psutil.Process(running.pid).children(recursive=True)
        running.kill()
        running.wait()
    try:
        platform.kubernetes.server.wait(lambda: platform.records() == versions("superseded", "deployed"), "both upgrades")
    finally:
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    follow(platform, "unlock-aws")
    space.up(STACK)
    assert platform.records() == versions("superseded", "deployed")
    assert platform.image_tags() == charts.LATER
    assert set(space.up(STACK, "--refresh")) == UNCHANGED


def test_an_up_whose_machine_dies_while_helm_upgrades_is_finished_by_the_next_one(platform: Platform) -> None:
    """Who refreshes before Helm's records are mended is told by `teal plan`: the state then believes what Helm had only begun."""
    space = platform.workspace
    platform.take(later=False)
    with helm_at_work(platform, "pending-upgrade", 3) as running:
        kill(running)
    space.must("cancel", STACK, "--yes")
    assert "another operation (install/upgrade/rollback) is in progress" in refused(platform)
    assert cut_off(platform) == []
    space.must("refresh", "--stack", STACK, "--yes", "--skip-preview", "--clear-pending-creates")
    space.up(STACK)
    assert platform.records() == versions("superseded", "deployed", "pending-upgrade")
    assert len(cut_off(platform)) == len(RELEASES)
    follow(platform, "unlock-aws")
    assert cut_off(platform) == []
    space.up(STACK)
    assert platform.records() == versions("superseded", "superseded", "deployed")
    assert platform.image_tags() == VERSIONS
    assert set(space.up(STACK, "--refresh")) == UNCHANGED


def test_after_a_lost_state_every_object_is_adopted_and_helm_s_releases_are_imported(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, held = platform.all(), inventory.generations(platform.made())
    platform.workspace = space = platform_stack.workspace(tmp_path_factory.mktemp("lost"), platform.workspace.providers)
    assert "cannot re-use a name that is still in use" in refused(platform)
    assert platform.all() == before
    follow(platform, "releases-back-aws")
    assert set(space.up(STACK)) == UNCHANGED
    after = platform.all()
    assert before.items() <= after.items()
    new = {path.rsplit("/", 1)[1] for path in after if path not in before}
    assert new == {f"sh.helm.release.v1.{name}.v4" for name in RELEASES.values()}
    assert inventory.generations(platform.made()) == held
    assert platform.image_tags() == VERSIONS
