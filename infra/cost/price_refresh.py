"""Asks AWS's Pricing API for a region's prices.
The filters are those that infracost uses for the same list (internal/resources/aws)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from infra.cost.extract_prices import WANTED
from infra.cost.prices import MACHINE, Price, RefreshError

if TYPE_CHECKING:
    from mypy_boto3_pricing.client import PricingClient
    from mypy_boto3_pricing.type_defs import FilterTypeDef

REGION: Final = "us-east-1"  # this region's API, and that of two others, has the prices of all regions
_SOURCE: Final = "AWS Price List API"


@dataclass(frozen=True)
class PriceQuery:
    """The query for a price: service code, exact attributes, and a pattern for the usage type, which begins with the region."""

    service: str
    attributes: Mapping[str, str]
    usage: str
    unit: str


_FIXED: Final[Mapping[str, PriceQuery]] = {
    "eks:cluster": PriceQuery("AmazonEKS", {"productFamily": "Compute"}, r"AmazonEKS-Hours:perCluster$", "hour"),
    "alb:hour": PriceQuery("AWSELB", {"productFamily": "Load Balancer-Application"}, r"^([A-Z0-9]+-)?LoadBalancerUsage$", "hour"),
    "alb:lcu": PriceQuery("AWSELB", {"productFamily": "Load Balancer-Application"}, r"^([A-Z0-9]+-)?LCUUsage$", "LCU-hour"),
    "nat:hour": PriceQuery("AmazonEC2", {"productFamily": "NAT Gateway"}, r"NatGateway-Hours$", "hour"),
    "nat:gb": PriceQuery("AmazonEC2", {"productFamily": "NAT Gateway"}, r"NatGateway-Bytes$", "GB"),
    "endpoint:hour": PriceQuery("AmazonVPC", {"productFamily": "VpcEndpoint"}, r"VpcEndpoint-Hours$", "hour"),
    "ebs:gp3": PriceQuery("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3"}, r"EBS:VolumeUsage\.gp3$", "GB-month"),
    "rds:gp3": PriceQuery("AmazonRDS", {"productFamily": "Database Storage", "deploymentOption": "Single-AZ"}, r"RDS:GP3-Storage$", "GB-month"),
    "kms:key": PriceQuery("awskms", {"productFamily": "Encryption Key"}, r"KMS-Keys$", "key-month"),
    "secret": PriceQuery("AWSSecretsManager", {"productFamily": "Secret"}, r"Secrets$", "secret-month"),
    "logs:gb": PriceQuery("AmazonCloudWatch", {"productFamily": "Data Payload"}, r"-DataProcessing-Bytes$", "GB"),
    "waf:acl": PriceQuery("awswaf", {"productFamily": "Web Application Firewall"}, r"^[A-Z0-9]+-WebACLV2$", "ACL-month"),
    "waf:rule": PriceQuery("awswaf", {"productFamily": "Web Application Firewall"}, r"^[A-Z0-9]+-RuleV2$", "rule-month"),
    "waf:million": PriceQuery("awswaf", {"productFamily": "Web Application Firewall"}, r"^[A-Z0-9]+-RequestV2-Tier1$", "million requests"),
}  # fmt: skip
_MILLIONTHS: Final = frozenset({"waf:million"})  # the list has the price of one request
_MACHINES: Final = {
    "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "licenseModel": "No License required",
}  # fmt: skip


def price_query(key: str) -> PriceQuery | None:
    """The query for a key; None when no query is certain to find the right product."""
    if key.startswith("rds:db."):
        attributes = {"instanceType": key.removeprefix("rds:"), "databaseEngine": "PostgreSQL", "deploymentOption": "Single-AZ"}
        return PriceQuery("AmazonRDS", attributes, r"InstanceUsage:db\.", "hour")
    if key.startswith("cache:"):
        _, engine, kind = key.split(":")
        attributes = {"instanceType": kind, "cacheEngine": engine.capitalize(), "locationType": "AWS Region"}
        return PriceQuery("AmazonElastiCache", attributes, r"NodeUsage:", "hour")
    return _FIXED.get(key)


def refresh(client: PricingClient, region: str, keys: Sequence[str]) -> tuple[dict[str, Price], list[str]]:
    """Unambiguous prices by key, and the keys without one.
    Machine prices are returned all or none, because otherwise the cheapest type would be wrong.

    About a second a key. Raises RefreshError when AWS does not answer.
    """
    today = datetime.now(UTC).date().isoformat()
    found: dict[str, Price] = {}
    missing: list[str] = []
    try:
        if any(key.startswith(MACHINE) for key in keys):
            found |= _machines(client, region, today)
        for key in keys:
            asked = price_query(key)
            if key in found:
                continue
            prices = {usd for _, usd in _products(client, region, asked)} if asked else set[float]()
            if asked is None or len(prices) != 1:
                missing.append(key)  # no answer, or several, of which one would have to be guessed
                continue
            usd = prices.pop() * (1e6 if key in _MILLIONTHS else 1)
            found[key] = Price(key, usd, asked.unit, _SOURCE, today, verified=True)
    except (BotoCoreError, ClientError) as error:
        raise RefreshError(f"AWS's Pricing API did not answer: {error}\n  next: aws sts get-caller-identity") from None
    return found, missing


def _machines(client: PricingClient, region: str, today: str) -> dict[str, Price]:
    asked = PriceQuery("AmazonEC2", _MACHINES, r"BoxUsage:", "hour")
    by_key = {f"{MACHINE}{kind}": usd for kind, usd in _products(client, region, asked) if WANTED.match(kind)}
    return {key: Price(key, usd, "hour", _SOURCE, today, verified=True) for key, usd in by_key.items()}


def _products(client: PricingClient, region: str, asked: PriceQuery) -> Iterator[tuple[str, float]]:
    """Instance type (or empty) and USD of each product of the region."""
    filters: list[FilterTypeDef] = [
        {"Type": "TERM_MATCH", "Field": name, "Value": value}
        for name, value in {"regionCode": region, **asked.attributes}.items()
    ]
    for page in client.get_paginator("get_products").paginate(ServiceCode=asked.service, Filters=filters, FormatVersion="aws_v1"):
        for text in page["PriceList"]:
            product: dict[str, Any] = json.loads(text)
            attributes: Mapping[str, str] = product["product"]["attributes"]
            usd = _usd(product)
            if usd and re.search(asked.usage, attributes.get("usagetype", "")):
                yield attributes.get("instanceType", ""), usd


def _usd(product: Mapping[str, Any]) -> float:
    """The on-demand price of the first tier; 0 when there is none."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension.get("beginRange", "0") in ("0", ""):
                return float(dimension["pricePerUnit"].get("USD", 0))
    return 0.0
