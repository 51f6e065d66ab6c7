"""Images in the registry, which the release workflow builds and pushes,
and the configuration that a new color gets besides its image."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from teal.aws.platform import Platform
from teal.aws.session import is_missing, translate_aws_errors
from teal.errors import BadInput
from teal.ports.target import Image
from teal.record.model import ColorState

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")
_FIRST_INDEX: Final = "teal"  # the service's own default (TEAL_INDEX)
Ask = Callable[[ColorState, str], list[dict[str, Any]]]  # runs an admin command from an image, in the idle color's namespace


@dataclass(frozen=True)
class RegistryImages:
    """The `Images` port on AWS. `ask` runs `python -m app.admin COMMAND` from an image that no color runs yet."""

    platform: Platform
    ecr: ECRClient
    secrets: SecretsManagerClient
    ask: Ask

    def build(self, path: Path, label: str | None) -> Image:
        """Always raises BadInput: images for AWS are built only by the workflow, once, from a commit, with SBOM and signature."""
        raise BadInput(
            "Images for AWS are built by the release workflow, not here",
            where=str(path),
            next=f"gh workflow run release.yml, or teal release --stack ... --image {self.platform.repository_url}@sha256:...",
        )

    def known(self, id: str) -> Image:
        """Find an image by `sha256:...`, `repository@sha256:...` or tag.
        A Job asks the image which schema it serves, in seconds to minutes."""
        repository = self.platform.repository_url
        wanted = id.removeprefix(f"{repository}@").removeprefix(f"{repository}:")
        image_id: Any = {"imageDigest": wanted} if _DIGEST.match(wanted) else {"imageTag": wanted}
        name = repository.partition("/")[2]
        with translate_aws_errors("DescribeImages", repository):
            try:
                found = self.ecr.describe_images(repositoryName=name, imageIds=[image_id])["imageDetails"][0]
            except ClientError as error:
                if is_missing(error) or error.response.get("Error", {}).get("Code") == "InvalidParameterException":
                    raise BadInput(
                        f"There is no image {id}", where=repository, next=f"aws ecr describe-images --repository-name {name}"
                    ) from error
                raise
        reference = f"{repository}@{found['imageDigest']}"
        return Image(reference, _label(found.get("imageTags", ()), found["imageDigest"]), *self._schema(reference))

    def config(self) -> Mapping[str, str]:
        return {name: value for name, value in self.platform.app_environment.items() if name != "TEAL_INDEX"}

    def secret_versions(self) -> Mapping[str, str]:
        """The id of each secret's current version, by the secret's ARN."""
        found = {}
        for arn in sorted({each.secret_arn for each in self.platform.app_secrets.values()}):
            with translate_aws_errors("DescribeSecret", arn):
                stages = self.secrets.describe_secret(SecretId=arn).get("VersionIdsToStages", {})
            found[arn] = next((version for version, held in stages.items() if "AWSCURRENT" in held), "")
        return found

    def index(self) -> str:
        return self.platform.app_environment.get("TEAL_INDEX", _FIRST_INDEX)

    def _schema(self, reference: str) -> tuple[str, str]:
        state = ColorState(release_id="schema", image=reference, config=self.config(), index=self.index(), schema_min="", schema_max="",
                           replica_floor=0)  # fmt: skip
        (row,) = self.ask(state, "schema")
        return str(row["min"]), str(row["max"])


def _label(tags: list[str] | tuple[str, ...], digest: str) -> str:
    return min(tags, key=len) if tags else digest[7:19]
