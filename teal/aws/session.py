"""AWS clients for one account and region, and AWS's errors as OperatorErrors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from teal.errors import BadInput, OperatorError

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

# AWS's own codes, in botocore's service models and in "Common errors" of the services' API references.
_EXPIRED: Final = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN_KEYS: Final = ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId")
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403")
KEY_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
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
        with translate_aws_errors("Asking AWS who this is"):
            return self.sts.get_caller_identity()["Account"]


def open_aws(region: str) -> Aws:
    """Clients from the shell's own credentials. Nothing is asked of AWS yet."""
    import boto3

    session = boto3.Session(region_name=region)
    return Aws(lambda service: session.client(service, config=_SETTINGS), region)


@contextmanager
def translate_aws_errors(doing: str, where: str = "AWS", environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn AWS's errors into AwsFailed. `environ`: where the credentials come from; default: this process's environment."""
    shell = os.environ if environ is None else environ
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        code = said.get("Code", "")
        text = f"{doing} failed: {code}: {said.get('Message', '')}"
        if code in _EXPIRED or code in _UNKNOWN_KEYS:
            raise BadInput(text, where=where, next=sign_in(shell)) from error
        next_ = "aws sts get-caller-identity" if code in _DENIED else "run the same command again"
        raise AwsFailed(text, where=where, next=next_) from error
    except ProfileNotFound as error:
        raise BadInput(f"{doing} failed: {error}", where="AWS_PROFILE", next="aws configure list-profiles") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        what = (
            f"{doing} failed: there are no AWS credentials here"
            if isinstance(error, NoCredentialsError)
            else f"{doing} failed: {error}"
        )
        raise BadInput(what, where=where, next=sign_in(shell)) from error
    except (SSOError, TokenRetrievalError, CredentialRetrievalError) as error:
        raise BadInput(f"{doing} failed: nobody is signed in: {error}", where=where, next=sign_in(shell)) from error
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        next_ = "look at the network, and at aws:region in the stack's file, then run the same command again"
        raise AwsFailed(f"{doing} failed: {error}", where=where, next=next_) from error
    except BotoCoreError as error:
        raise AwsFailed(f"{doing} failed: {error}", where=where, next="aws sts get-caller-identity") from error


def sign_in(environ: Mapping[str, str]) -> str:
    """The command that gets credentials. Keys in the environment take precedence over every profile,
    so signing in would not replace them."""
    profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    login = f"aws sso login --profile {profile}" if profile else "aws sso login (the first time: aws configure sso)"
    held = [name for name in KEY_VARIABLES if environ.get(name)]
    return f"unset {' '.join(held)}; then {login}" if held else login


def is_missing(error: ClientError) -> bool:
    """Whether AWS said that the thing is not there."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code == "404" or code.startswith("NoSuch") or "NotFound" in code
