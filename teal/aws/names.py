"""Names of the bucket that keeps one environment's Pulumi state, and of the keys that encrypt its secrets.
Each environment has a bucket of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from contract import names
from contract.names import STACK_TAG as STACK_TAG
from contract.names import prefix as prefix

Scope = Literal["platform", "colors"]
SCOPES: Final[tuple[Scope, Scope]] = ("platform", "colors")  # the release role may use the second and not the first
STATE_TAG: Final = "teal:state"  # tag on what `teal bootstrap` makes; a tear-down leaves everything with it


@dataclass(frozen=True, slots=True)
class StateNames:
    """Names of one environment's state. Bucket names are global, so the account's number is part of it."""

    stack: str
    account_id: str
    region: str

    @property
    def prefix(self) -> str:
        return prefix(self.stack)

    @property
    def database(self) -> str:
        """The identifier of the database; a restored database's identifier begins with it."""
        return names.database(self.stack)

    @property
    def bucket(self) -> str:
        return f"{self.prefix}-state-{self.account_id}"

    def key_alias(self, scope: Scope) -> str:
        return f"alias/{self.prefix}-state-{scope}"

    @property
    def backend_url(self) -> str:
        return f"s3://{self.bucket}?region={self.region}"

    def secrets_provider(self, scope: Scope) -> str:
        return f"awskms://{self.key_alias(scope)}?region={self.region}"

    @property
    def login(self) -> str:
        """The command that points Pulumi at this state."""
        return f"pulumi login '{self.backend_url}'"
