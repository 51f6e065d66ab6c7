"""What AWS would answer, for evaluating a program without it: one table of outputs by resource type, one of calls.

A value here is never a fact: it has the form that the next resource needs, and it is the same at every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

ACCOUNT = "123456789012"
_Outputs = Callable[[str, Mapping[str, Any], str, str], dict[str, Any]]  # physical name, inputs, region, hex of 12 characters


def resource(kind: str, name: str, inputs: Mapping[str, Any], region: str) -> tuple[str, dict[str, Any]]:
    """Id and outputs of one created resource: its inputs, an ARN, and what its type adds."""
    digest = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()[:12]
    physical = _physical(name, inputs)
    state: dict[str, Any] = {**inputs}
    identifier = f"{name}-{digest}"
    if kind.startswith("aws:"):
        service, short = kind.split(":")[1].split("/")[0], kind.split(":")[2]
        state.setdefault("arn", f"arn:aws:{service}:{region}:{ACCOUNT}:{short.lower()}/{physical}")
        state.setdefault("name", physical)
        identifier = state["arn"] if kind in _ARN_IS_ID else physical
    more = _OUTPUTS.get(kind)
    if more:
        state.update(more(physical, inputs, region, digest))
    return str(state.get("id", identifier)), {key: value for key, value in state.items() if key != "id"}


def call(token: str, args: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Answer of one function of a provider. Raises KeyError for one that is not in the table: add it here."""
    return _CALLS[token](args, region)


def _physical(name: str, inputs: Mapping[str, Any]) -> str:
    for key in ("name", "bucket", "clusterName", "identifier", "replicationGroupId", "family"):
        if isinstance(inputs.get(key), str):
            return str(inputs[key])
    return name


_ARN_IS_ID = {
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:lb/listener:Listener",
    "aws:lb/listenerRule:ListenerRule",
    "aws:lb/targetGroup:TargetGroup",
    "aws:sns/topic:Topic",
    "aws:secretsmanager/secret:Secret",
    "aws:acm/certificate:Certificate",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws:wafv2/webAcl:WebAcl",
}

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
    "aws:kms/key:Key": lambda _n, _i, region, digest: {"arn": f"arn:aws:kms:{region}:{ACCOUNT}:key/{digest}", "keyId": digest},
    "aws:cloudwatch/logGroup:LogGroup": lambda name, _i, region, _d: {"arn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{name}"},
    "aws:sns/topic:Topic": lambda name, _i, region, _d: {"arn": f"arn:aws:sns:{region}:{ACCOUNT}:{name}"},
    "aws:secretsmanager/secret:Secret": lambda name, _i, region, digest: {
        "arn": f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{digest[:6]}"
    },
    "aws:secretsmanager/secretVersion:SecretVersion": lambda _n, _i, _r, digest: {"versionId": digest},
    "aws:ec2/vpc:Vpc": lambda _n, _i, _r, digest: {"id": f"vpc-{digest}", "defaultSecurityGroupId": f"sg-{digest}"},
    "aws:ec2/subnet:Subnet": lambda _n, _i, _r, digest: {"id": f"subnet-{digest}"},
    "aws:ec2/securityGroup:SecurityGroup": lambda _n, _i, _r, digest: {"id": f"sg-{digest}"},
    "aws:ec2/eip:Eip": lambda _n, _i, _r, digest: {"id": f"eipalloc-{digest}", "publicIp": f"203.0.113.{int(digest[:2], 16)}"},
    "aws:eks/cluster:Cluster": lambda name, _i, region, digest: {
        "arn": f"arn:aws:eks:{region}:{ACCOUNT}:cluster/{name}",
        "endpoint": f"https://{digest}.eks.{region}.amazonaws.com",
        "certificateAuthorities": [{"data": "Y2E="}],
        "certificateAuthority": {"data": "Y2E="},
        "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{region}.amazonaws.com/id/{digest.upper()}"}]}],
        "vpcConfig": {**_i["vpcConfig"], "clusterSecurityGroupId": f"sg-{digest}", "vpcId": "vpc-of-the-cluster"},
    },
    "aws:lb/loadBalancer:LoadBalancer": lambda name, _i, region, digest: {
        "arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:loadbalancer/app/{name}/{digest}",
        "arnSuffix": f"app/{name}/{digest}",
        "dnsName": f"{name}-{digest}.{region}.elb.amazonaws.com",
        "zoneId": "Z215JYRZR1TBD5",
    },
    "aws:lb/targetGroup:TargetGroup": lambda name, _i, region, digest: {
        "arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:targetgroup/{name}/{digest}",
        "arnSuffix": f"targetgroup/{name}/{digest}",
    },
    "aws:lb/listener:Listener": lambda name, _i, region, digest: {
        "arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:listener/app/{name}/{digest}"
    },
    "aws:lb/listenerRule:ListenerRule": lambda name, _i, region, digest: {
        "arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:listener-rule/app/{name}/{digest}"
    },
    "aws:acm/certificate:Certificate": lambda _n, inputs, region, digest: {
        "arn": f"arn:aws:acm:{region}:{ACCOUNT}:certificate/{digest}",
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
        "resourceId": f"db-{digest.upper()}",
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
        "id": f"ws-{digest}",
        "arn": f"arn:aws:aps:{region}:{ACCOUNT}:workspace/ws-{digest}",
        "prometheusEndpoint": f"https://aps-workspaces.{region}.amazonaws.com/workspaces/ws-{digest}/",
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
