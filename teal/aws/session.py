"""Clients of AWS for one account and region, and their errors in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, TokenRetrievalError

from teal.errors import BadInput, OperatorError

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

_DENIED: Final = ("AccessDenied", "AccessDeniedException", "ExpiredToken", "InvalidClientTokenId", "UnrecognizedClientException")
_SETTINGS: Final = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 5, "mode": "standard"})
Connect = Callable[[str], Any]  # service name -> client


class AwsFailed(OperatorError):
    """AWS refused or did not answer."""

    code = "aws-failed"


@dataclass(frozen=True, slots=True)
class Aws:
    """The clients that bootstrap and destroy use, each made when asked for."""

    connect: Connect
    region: str

    @property
    def s3(self) -> S3Client:
        found: S3Client = self.connect("s3")
        return found

    @property
    def kms(self) -> KMSClient:
        found: KMSClient = self.connect("kms")
        return found

    @property
    def sts(self) -> STSClient:
        found: STSClient = self.connect("sts")
        return found

    @property
    def eks(self) -> EKSClient:
        found: EKSClient = self.connect("eks")
        return found

    @property
    def rds(self) -> RDSClient:
        found: RDSClient = self.connect("rds")
        return found

    @property
    def tagging(self) -> ResourceGroupsTaggingAPIClient:
        found: ResourceGroupsTaggingAPIClient = self.connect("resourcegroupstaggingapi")
        return found

    def account_id(self) -> str:
        """The account these credentials belong to."""
        with told("Asking AWS who this is"):
            return self.sts.get_caller_identity()["Account"]


def open_aws(region: str) -> Aws:
    """Clients from the shell's own credentials. Nothing is asked of AWS yet."""
    import boto3

    session = boto3.Session(region_name=region)
    return Aws(lambda service: session.client(service, config=_SETTINGS), region)


@contextmanager
def told(doing: str, where: str = "AWS") -> Iterator[None]:
    """Turn what AWS says into one failure in words."""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        code = said.get("Code", "")
        next_ = "aws sts get-caller-identity" if code in _DENIED else "run the same command again"
        raise AwsFailed(f"{doing} failed: {code}: {said.get('Message', '')}", where=where, next=next_) from error
    except (NoCredentialsError, TokenRetrievalError) as error:
        raise BadInput(f"{doing} failed: there are no AWS credentials here", where=where, next="aws sso login") from error
    except BotoCoreError as error:
        raise AwsFailed(f"{doing} failed: {error}", where=where, next="aws sts get-caller-identity") from error


def missing(error: ClientError) -> bool:
    """Whether AWS said that the thing is not there."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code == "404" or code.startswith("NoSuch") or "NotFound" in code
