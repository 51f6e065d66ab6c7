"""Stand-ins for AWS's answers, to evaluate a program without AWS: a table of outputs by resource type, and one of function calls.

The values are made up. They have the form that dependent resources need, and are the same at every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from contract.names import EXAMPLE_ACCOUNT as ACCOUNT
from infra.evaluation.ids import ARN_IS_ID, IDS, hex_id, uuid, web_acl_arn

_Outputs = Callable[[str, Mapping[str, Any], str, str], dict[str, Any]]  # physical name, inputs, region, hex of 12 characters


def resource_answer(kind: str, name: str, inputs: Mapping[str, Any], region: str) -> tuple[str, dict[str, Any]]:
    """Id and outputs of one created resource: its inputs, an ARN, and the outputs of its type."""
    digest = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()[:12]
    physical = _physical(name, inputs)
    state: dict[str, Any] = {**inputs}
    identifier = f"{name}-{digest}"
    if kind.startswith("aws:"):
        service, short = kind.split(":")[1].split("/")[0], kind.split(":")[2]
        state.setdefault("arn", f"arn:aws:{service}:{region}:{ACCOUNT}:{short.lower()}/{physical}")
        state.setdefault("name", physical)
        identifier = physical
    more = _OUTPUTS.get(kind)
    if more:
        state.update(more(physical, inputs, region, digest))
    if kind in ARN_IS_ID:
        identifier = str(state["arn"])
    elif kind in IDS:
        identifier = IDS[kind](physical, inputs, region, digest)
    return identifier, {key: value for key, value in state.items() if key != "id"}


def function_answer(token: str, args: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Answer of one function of a provider. Raises KeyError for one that is not in the table: add it here."""
    return _CALLS[token](args, region)


def _physical(name: str, inputs: Mapping[str, Any]) -> str:
    for key in ("name", "bucket", "clusterName", "identifier", "replicationGroupId", "family"):
        if isinstance(inputs.get(key), str):
            return str(inputs[key])
    return name


_OUTPUTS: dict[str, _Outputs] = {
    "aws:s3/bucket:Bucket": lambda name, _i, region, _d: {
        "arn": f"arn:aws:s3:::{name}",
        "bucketRegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
    },
    "aws:iam/role:Role": lambda name, _i, _r, _d: {"arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"},
    "aws:iam/policy:Policy": lambda name, _i, _r, _d: {"arn": f"arn:aws:iam::{ACCOUNT}:policy/{name}"},
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": lambda _n, inputs, _r, _d: {
        "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{str(inputs['url']).removeprefix('https://')}"
    },
    "aws:kms/key:Key": lambda _n, _i, region, digest: {
        "arn": f"arn:aws:kms:{region}:{ACCOUNT}:key/{uuid(digest)}",
        "keyId": uuid(digest),
    },
    "aws:cloudwatch/logGroup:LogGroup": lambda name, _i, region, _d: {"arn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{name}"},
    "aws:sns/topic:Topic": lambda name, _i, region, _d: {"arn": f"arn:aws:sns:{region}:{ACCOUNT}:{name}"},
    "aws:secretsmanager/secret:Secret": lambda name, _i, region, digest: {
        "arn": f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{digest[:6]}"
    },
    "aws:secretsmanager/secretVersion:SecretVersion": lambda _n, _i, _r, digest: {"versionId": uuid(digest)},
    "aws:ec2/vpc:Vpc": lambda _n, _i, _r, digest: {"defaultSecurityGroupId": f"sg-{hex_id(digest)}"},
    "aws:ec2/eip:Eip": lambda _n, _i, _r, digest: {"publicIp": f"203.0.113.{int(digest[:2], 16)}"},
    "aws:eks/cluster:Cluster": lambda name, _i, region, digest: {
        "arn": f"arn:aws:eks:{region}:{ACCOUNT}:cluster/{name}",
        "endpoint": f"https://{digest}.eks.{region}.amazonaws.com",
        "certificateAuthorities": [{"data": "Y2E="}],
        "certificateAuthority": {"data": "Y2E="},
        "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{region}.amazonaws.com/id/{digest.upper()}"}]}],
        "vpcConfig": {**_i["vpcConfig"], "clusterSecurityGroupId": f"sg-{hex_id(digest)}", "vpcId": f"vpc-{hex_id(digest)}"},
    },
    "aws:lb/loadBalancer:LoadBalancer": lambda name, _i, region, digest: {
        "arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:loadbalancer/app/{name}/{hex_id(digest, 16)}",
        "arnSuffix": f"app/{name}/{hex_id(digest, 16)}",
        "dnsName": f"{name}-{digest}.{region}.elb.amazonaws.com",
        "zoneId": "Z215JYRZR1TBD5",
    },
    "aws:lb/targetGroup:TargetGroup": lambda name, _i, region, digest: {
        "arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:targetgroup/{name}/{hex_id(digest, 16)}",
        "arnSuffix": f"targetgroup/{name}/{hex_id(digest, 16)}",
    },
    "aws:lb/listener:Listener": lambda name, _i, region, digest: {
        "arn": f"{str(_i['loadBalancerArn']).replace(':loadbalancer/', ':listener/')}/{hex_id(digest, 16)}"
    },
    "aws:lb/listenerRule:ListenerRule": lambda name, _i, region, digest: {
        "arn": f"{str(_i['listenerArn']).replace(':listener/', ':listener-rule/')}/{hex_id(digest, 16)}"
    },
    "aws:amp/ruleGroupNamespace:RuleGroupNamespace": lambda name, inputs, region, _d: {
        "arn": f"arn:aws:aps:{region}:{ACCOUNT}:rulegroupsnamespace/{inputs['workspaceId']}/{name}"
    },
    "aws:wafv2/webAcl:WebAcl": lambda name, _i, region, digest: {"arn": web_acl_arn(name, region, digest)},
    "aws:acm/certificate:Certificate": lambda _n, inputs, region, digest: {
        "arn": f"arn:aws:acm:{region}:{ACCOUNT}:certificate/{uuid(digest)}",
        "domainValidationOptions": [
            {
                "domainName": inputs["domainName"],
                "resourceRecordName": f"_{digest}.{inputs['domainName']}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": f"_{digest}.acm-validations.aws.",
            }
        ],
    },
    "aws:acm/certificateValidation:CertificateValidation": lambda _n, inputs, _r, _d: {
        "certificateArn": inputs["certificateArn"]
    },
    "aws:rds/instance:Instance": lambda name, _i, region, digest: {
        "arn": f"arn:aws:rds:{region}:{ACCOUNT}:db:{name}",
        "address": f"{name}.{digest}.{region}.rds.amazonaws.com",
        "endpoint": f"{name}.{digest}.{region}.rds.amazonaws.com:5432",
        "port": 5432,
        "resourceId": f"db-{hex_id(digest, 24).upper()}AB",
        "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:rds!db-{digest}"}],
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": lambda name, _i, region, digest: {
        "primaryEndpointAddress": f"master.{name}.{digest}.cache.amazonaws.com",
        "readerEndpointAddress": f"replica.{name}.{digest}.cache.amazonaws.com",
        "port": 6379,
        "memberClusters": [f"{name}-{number:03}" for number in range(1, int(_i.get("numCacheClusters", 1)) + 1)],
    },
    "aws:ecr/repository:Repository": lambda name, _i, region, _d: {
        "arn": f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{name}",
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{name}",
    },
    "aws:amp/workspace:Workspace": lambda _n, _i, region, digest: {
        "arn": f"arn:aws:aps:{region}:{ACCOUNT}:workspace/ws-{uuid(digest)}",
        "prometheusEndpoint": f"https://aps-workspaces.{region}.amazonaws.com/workspaces/ws-{uuid(digest)}/",
    },
    "random:index/randomPassword:RandomPassword": lambda _n, inputs, _r, digest: {
        "result": (digest * 8)[: int(inputs["length"])]
    },
    "random:index/randomId:RandomId": lambda _n, _i, _r, digest: {"hex": digest, "b64Url": digest},
    "random:index/randomString:RandomString": lambda _n, inputs, _r, digest: {"result": (digest * 8)[: int(inputs["length"])]},
}

_CALLS: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _a, _r: {
        "id": ACCOUNT,
        "accountId": ACCOUNT,
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session",
        "userId": "AROAEXAMPLE",
    },
    "aws:iam/getSessionContext:getSessionContext": lambda args, _r: {
        "id": args["arn"],
        "arn": args["arn"],
        "issuerArn": f"arn:aws:iam::{ACCOUNT}:role/deployer",
        "issuerId": "AROAEXAMPLE",
        "issuerName": "deployer",
        "sessionName": "session",
    },
    "aws:index/getRegion:getRegion": lambda _a, region: {"id": region, "name": region, "region": region, "description": region},
    "aws:index/getPartition:getPartition": lambda _a, _r: {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com"},
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _a, region: {
        "id": region,
        "names": [f"{region}{letter}" for letter in "abc"],
        "zoneIds": [f"{region}-az{number}" for number in (1, 2, 3)],
        "groupNames": [region],
    },
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": lambda args, region: {
        "id": "pl-0123456789abcdef0",
        "name": args.get("name", ""),
        "arn": f"arn:aws:ec2:{region}:aws:prefix-list/pl-0123456789abcdef0",
    },
}
