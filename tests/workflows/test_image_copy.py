"""The script that finds, copies or builds an image, run with stand-ins for `aws` and `docker` whose registry is a folder: what it
hands to the next steps in each case, and that it refuses to go on with another image than the one asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workflows.workflow_files import FOLDER

COMMIT, OTHER = "c0ffee00" * 5, "deadbeef" * 5
DIGEST, ANOTHER = f"sha256:{'5' * 64}", f"sha256:{'6' * 64}"
STAGING, PROD = (
    "111122223333.dkr.ecr.eu-west-1.amazonaws.com/teal-staging",
    "444455556666.dkr.ecr.eu-central-1.amazonaws.com/teal-prod",
)
# The registry: a file for each image, named by repository and tag, that holds the digest.
AWS = """#!/usr/bin/env bash
set -eu
[ "$2" != get-login-password ] || { echo password; exit; }
while [ $# -gt 0 ]; do
  case $1 in --registry-id) account=$2 ;; --region) region=$2 ;; --repository-name) name=$2 ;; --image-ids) id=$2 ;; esac
  shift
done
for file in "$REGISTRY/$account.dkr.ecr.$region.amazonaws.com/$name/"*; do
  [ -e "$file" ] || continue
  tag=$(basename "$file") digest=$(cat "$file")
  if [ "$id" = "imageTag=$tag" ] || [ "$id" = "imageDigest=$digest" ]; then
    printf '{"imageDetails": [{"imageDigest": "%s", "imageTags": ["%s"]}]}' "$digest" "$tag"
    exit
  fi
done
echo ImageNotFoundException >&2
exit 254
"""
DOCKER = """#!/usr/bin/env bash
set -eu
echo "$*" >> "$REGISTRY/calls"
case $1 in
  login) cat > "$REGISTRY/password"; exit ;; # reads it, as docker does: whoever writes into a pipe that closed has failed
  push) target=$3 digest=$BUILT ;;
  buildx) target=$6 digest=${COPIED:-${7##*@}} ;;
  *) exit ;;
esac
mkdir -p "$REGISTRY/${target%:*}"
printf %s "$digest" > "$REGISTRY/${target%:*}/${target##*:}"
"""


class Registry:
    """The folder, and one run of the step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "registry"
        self.bin = folder / "bin"
        for path, text in ((self.bin / "aws", AWS), (self.bin / "docker", DOCKER)):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        self.folder.mkdir()

    def put(self, repository: str, tag: str, digest: str = DIGEST) -> None:
        (self.folder / repository).mkdir(parents=True, exist_ok=True)
        (self.folder / repository / tag).write_text(digest)

    def run(self, stack: str, *, source: str = "", given: str = "", **environ: str) -> tuple[int, dict[str, str], str]:
        """Exit code, the step's outputs, what it printed."""
        document = yaml.safe_load((FOLDER / "workflows" / "release.yml").read_text(encoding="utf-8"))
        (step,) = [one for one in document["jobs"]["build"]["steps"] if one.get("id") == "image"]
        output = self.folder.parent / "output"
        output.write_text("")
        account, region = PROD.split(".")[0], PROD.split(".")[3]
        values = {
            "PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder), "REGISTRY": str(self.folder), "BUILT": ANOTHER, "GITHUB_OUTPUT": str(output),
            "GITHUB_SHA": COMMIT, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "STACK": stack, "GIVEN": given,
            "ACCOUNT": account, "REGION": region, "FROM": source, "FROM_ACCOUNT": STAGING.split(".")[0] if source else "",
            "FROM_REGION": STAGING.split(".")[3] if source else "", **environ,
        }  # fmt: skip
        ended = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=self.folder.parent, env=values, capture_output=True,
                               text=True, check=False)  # fmt: skip
        found = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return ended.returncode, found, ended.stdout + ended.stderr

    @property
    def calls(self) -> str:
        path = self.folder / "calls"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.mark.parametrize("given", ["", COMMIT, DIGEST, f"{STAGING}@{DIGEST}"])
def test_an_image_of_the_stack_before_is_copied_by_its_digest_and_never_built(registry: Registry, given: str) -> None:
    registry.put(STAGING, COMMIT)
    code, found, said = registry.run("prod", source="staging", given=given)
    assert code == 0, said
    assert found == {"image": f"{PROD}@{DIGEST}", "commit": COMMIT, "how": "copied", "source": f"{STAGING}@{DIGEST}"}
    assert (registry.folder / PROD / COMMIT).read_text() == DIGEST
    assert f"buildx imagetools create --prefer-index=false --tag {PROD}:{COMMIT} {STAGING}@{DIGEST}" in registry.calls
    assert "build --file" not in registry.calls


def test_an_image_that_is_there_already_is_neither_copied_nor_built_again(registry: Registry) -> None:
    registry.put(STAGING, COMMIT)
    registry.put(PROD, COMMIT)
    code, found, said = registry.run("prod", source="staging")
    assert code == 0, said
    assert found == {"image": f"{PROD}@{DIGEST}", "commit": COMMIT, "how": "kept"}
    assert "imagetools" not in registry.calls


def test_a_copy_with_another_digest_ends_the_run(registry: Registry) -> None:
    registry.put(STAGING, COMMIT)
    code, found, said = registry.run("prod", source="staging", COPIED=ANOTHER)
    assert code != 0
    assert "the copy has another digest" in said
    assert "image" not in found


@pytest.mark.parametrize("tag", [None, OTHER, "latest"])
def test_a_commit_that_the_stack_before_has_no_image_of_is_refused_with_what_to_do(registry: Registry, tag: str | None) -> None:
    if tag:
        registry.put(STAGING, tag)
    code, found, said = registry.run("prod", source="staging")
    assert code != 0
    assert found == {}
    assert f"{STAGING} has no image {COMMIT} of a commit: run this workflow for staging first" in said


def test_the_first_stack_builds_a_commit_once(registry: Registry) -> None:
    code, found, said = registry.run("prod")
    assert code == 0, said
    assert found == {"image": f"{PROD}@{ANOTHER}", "commit": COMMIT, "how": "built"}
    assert registry.run("prod")[1]["how"] == "kept"
    assert registry.calls.count("build --file") == 1


def test_the_first_stack_builds_nothing_in_place_of_an_image_that_was_asked_for(registry: Registry) -> None:
    code, found, said = registry.run("prod", given=DIGEST)
    assert code != 0
    assert found == {}
    assert f"has no image {DIGEST} of a commit" in said
    assert "build --file" not in registry.calls
