"""`teal doctor --stack`: checks what this machine and these credentials need for work on AWS,
and names the command that mends each fault. Changes nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from teal.aws import cost, stack_file, tools
from teal.aws.names import StateNames
from teal.aws.session import Aws, is_missing, open_aws, translate_aws_errors
from teal.aws.stack_file import StackFile
from teal.errors import OperatorError
from teal.events import CheckRow

PACKAGES: Final = ("pulumi", "pulumi_aws", "pulumi_kubernetes")


def check_aws(
    stack: str,
    environ: Mapping[str, str],
    connect: Callable[[str], Aws] = open_aws,
    find: Callable[[tools.Tool, Mapping[str, str]], tools.InstalledTool] = tools.find_tool,
) -> tuple[CheckRow, ...]:
    """Every check: packages, commands and their versions, the stack's file, the account, the state. A check is skipped when its
    result could only repeat an earlier one's."""
    return tuple(_rows(stack, environ, connect, find))


def _rows(
    stack: str,
    environ: Mapping[str, str],
    connect: Callable[[str], Aws],
    find: Callable[[tools.Tool, Mapping[str, str]], tools.InstalledTool],
) -> Iterator[CheckRow]:
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    yield CheckRow(
        "packages",
        not absent,
        f"not installed: {', '.join(absent)}" if absent else "Pulumi's SDKs",
        cost.INSTALL if absent else "",
    )
    for tool in (tools.PULUMI, tools.AWS):
        yield tool_row(find(tool, environ))
    try:
        file = stack_file.read_stack_file(Path(environ.get("TEAL_ROOT", ".")), stack)
    except OperatorError as error:
        yield _wrong("stack file", error)
        return
    yield CheckRow("stack file", True, f"{file.path.name}, {file.region}")
    aws = connect(file.region)
    try:
        account = aws.account_id()
    except OperatorError as error:
        yield _wrong("credentials", error)
        return
    yield CheckRow("credentials", True, f"account {account}")
    try:
        yield _state(aws, file, StateNames(stack, account, file.region))
    except OperatorError as error:
        yield _wrong("state", error)


def tool_row(found: tools.InstalledTool) -> CheckRow:
    """A command that is there and new enough, or what is wrong with it."""
    name, least = found.tool.command, " or ".join(found.tool.least)
    if found.problem:
        return CheckRow(name, False, found.problem, f"install {name} {least} or newer")
    return CheckRow(name, True, f"{found.version or 'it does not say its version'}; {least} is the oldest that will do")


def _state(aws: Aws, file: StackFile, names: StateNames) -> CheckRow:
    with translate_aws_errors("Looking at the state bucket", names.bucket):
        try:
            aws.s3.head_bucket(Bucket=names.bucket, ExpectedBucketOwner=names.account_id)
        except ClientError as error:
            if not is_missing(error):
                raise
            return CheckRow("state", False, f"bucket {names.bucket} is not there", f"teal bootstrap {file.stack}")
    if not file.encrypted_key:
        return CheckRow("state", False, f"{file.path.name} does not name the key of its secrets", f"teal bootstrap {file.stack}")
    return CheckRow("state", True, f"bucket {names.bucket}")


def _wrong(part: str, error: OperatorError) -> CheckRow:
    return CheckRow(part, False, error.what, error.next)
