"""The picture in docs/architecture.md, drawn from what the program registers: `python -m infra.evaluation.picture` writes it, --check compares.

A box is a component with its main resources; an arrow points to what it needs. Arrows that follow from others are left out, and so are
those to the keys, which everything needs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.evaluation.evaluate import ROOT, Evaluation, platform

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- platform: begin (python -m infra.evaluation.picture) -->", "<!-- platform: end -->"
STACK = "prod"
HIDDEN = frozenset({"keys"})
# The types that are shown, with their names in the picture; all others are left out as details.
SHOWN = {
    "aws:ec2/vpc:Vpc": "VPC",
    "aws:ec2/natGateway:NatGateway": "NAT gateway",
    "aws:eks/cluster:Cluster": "EKS Auto Mode",
    "kubernetes:karpenter.sh/v1:NodePool": "own node pool",
    "aws:lb/loadBalancer:LoadBalancer": "ALB",
    "aws:lb/targetGroup:TargetGroup": "target group",
    "aws:lb/listenerRule:ListenerRule": "rule",
    "aws:acm/certificate:Certificate": "ACM",
    "aws:wafv2/webAcl:WebAcl": "WAF",
    "aws:rds/instance:Instance": "RDS PostgreSQL",
    "aws:elasticache/replicationGroup:ReplicationGroup": "ElastiCache",
    "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch": "Elasticsearch by ECK",
    "kubernetes:kibana.k8s.elastic.co/v1:Kibana": "Kibana",
    "aws:s3/bucket:Bucket": "S3 bucket",
    "aws:backup/vault:Vault": "AWS Backup vault",
    "kubernetes:batch/v1:CronJob": "CronJob",
    "aws:ecr/repository:Repository": "ECR",
    "aws:amp/workspace:Workspace": "Managed Prometheus",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "alarm",
    "aws:sns/topic:Topic": "SNS topic",
    "aws:budgets/budget:Budget": "budget",
    "kubernetes:helm.sh/v3:Release": "Helm release",
    "kubernetes:core/v1:Namespace": "namespace",
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": "vault lock",
    "aws:eks/addon:Addon": "EKS add-on",
}


def draw(evaluation: Evaluation) -> str:
    """Mermaid text of the platform."""
    components = _components(evaluation)
    counted: dict[str, Counter[str]] = {name: Counter() for name in dict.fromkeys(components.values())}
    needs: dict[str, set[str]] = {name: set() for name in counted}
    for resource in evaluation.resources:
        owner = components.get(resource.urn)
        if owner is None:
            continue
        if resource.type in SHOWN:
            counted[owner][SHOWN[resource.type]] += 1
        needs[owner] |= {components[urn] for urn in resource.depends_on if urn in components} - {owner}
    needs = {name: {each for each in found if each not in HIDDEN} for name, found in needs.items() if name not in HIDDEN}
    lines = ["flowchart LR", "  internet([internet]) --> web"]
    lines += [f'  {name}["{"<br/>".join([f"<b>{name}</b>", *_kinds(counted[name])])}"]' for name in sorted(needs)]
    lines += [f"  {name} --> {other}" for name in sorted(needs) for other in sorted(direct_needs(name, needs))]
    return "\n".join(lines)


def direct_needs(name: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """The direct needs of `name`, without those that follow from another need: the arrows to draw."""
    own = set(needs[name])
    return own - {each for other in own for each in _reach(other, needs, {name})}


def _reach(name: str, needs: Mapping[str, Iterable[str]], seen: set[str]) -> set[str]:
    found: set[str] = set()
    for each in set(needs[name]) - seen:
        found |= {each} | _reach(each, needs, seen | {name, each})
    return found


def _components(evaluation: Evaluation) -> dict[str, str]:
    """Urn of every resource to the name of the outermost component it is part of."""
    parents = {each.urn: each.parent for each in evaluation.resources}
    names = {each.urn: each.name for each in evaluation.resources if each.type.startswith("teal:infra:")}
    found: dict[str, str] = {}
    for urn in parents:
        top = urn
        while parents.get(top) in parents:
            top = parents[top]
        if top in names:
            found[urn] = names[top]
    return found


def _kinds(counted: Counter[str]) -> list[str]:
    return [kind if number == 1 else f"{number} x {kind}" for kind, number in sorted(counted.items())]


def page_with_picture(page: str, picture: str) -> str:
    """The page with the picture between its markers. Raises ValueError when the page has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.relative_to(ROOT)} has no place for the picture: put the lines {BEGIN} and {END} where it goes")
    return f"{before}{BEGIN}\n```mermaid\n{picture}\n```\n{END}{after}"


def main(arguments: list[str], page: Path = PAGE) -> int:
    """Write the picture, or with --check only compare it (exit code 1 when it is outdated)."""
    text = page.read_text()
    drawn = page_with_picture(text, draw(platform(STACK)))
    if "--check" in arguments:
        return int(drawn != text)
    page.write_text(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
