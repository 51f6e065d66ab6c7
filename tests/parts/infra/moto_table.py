"""Which AWS types of the platform moto's API accepts: `python -m tests.parts.infra.moto_table` measures and writes the table of docs/proof.md.

Each type of the inventory is one real call, sent by boto3 to moto's server on loopback, with what the type needs to be made. pulumi-aws's
provider is in no registry that is reachable here, so this is the same API without the provider between. Accepted means that the call was
answered, and not that moto does what AWS does.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from tests.services import aws_server
from tests.services.aws_server import AwsServer

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "proof.md"
BEGIN: Final = "<!-- moto: begin (python -m tests.parts.infra.moto_table) -->\n"
END: Final = "<!-- moto: end -->\n"
INVENTORY: Final = ROOT / "tests" / "unit" / "infra" / "inventory"


@dataclass(frozen=True)
class Call:
    """One call. `{name}` in a parameter is what an earlier call kept; `keep` names parts of the answer, such as "Vpc.VpcId"."""

    kind: str
    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)


def _code() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("index.py", "def handler(event, context): pass")
    return archive.getvalue()


_LOOK = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Look", "Effect": "Allow", "Action": "rds:DescribeDBInstances", "Resource": "*"}],
    }
)
_TLS = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*",
                                                           "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]})  # fmt: skip
_ONCE = Config(retries={"total_max_attempts": 1})  # a call that is not there does not come by asking again
_TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}]})  # fmt: skip
_RULE = [{"RuleName": "daily", "TargetBackupVaultName": "vault", "ScheduleExpression": "cron(0 1 * * ? *)"}]
_HOP = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": "{group}"}]}
_ACL = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "acl"}
_FORWARD = [{"Type": "forward", "TargetGroupArn": "{target}"}]
# Some of AWS's types are part of another's API: the type is then the call that sets it.
CALLS: Final = (
    Call("aws:kms/key:Key", "kms", "create_key", {}, {"key": "KeyMetadata.Arn"}),
    Call("aws:kms/alias:Alias", "kms", "create_alias", {"AliasName": "alias/teal", "TargetKeyId": "{key}"}),
    Call("aws:iam/role:Role", "iam", "create_role", {"RoleName": "role", "AssumeRolePolicyDocument": _TRUST}, {"role": "Role.Arn"}),
    Call("aws:iam/policy:Policy", "iam", "create_policy", {"PolicyName": "policy", "PolicyDocument": _LOOK}, {"policy": "Policy.Arn"}),
    Call("aws:iam/rolePolicy:RolePolicy", "iam", "put_role_policy", {"RoleName": "role", "PolicyName": "own", "PolicyDocument": _LOOK}),
    Call("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "iam", "attach_role_policy", {"RoleName": "role", "PolicyArn": "{policy}"}),
    Call("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "iam", "create_open_id_connect_provider",
         {"Url": "https://oidc.example.com/id/1", "ThumbprintList": ["0" * 40]}),
    Call("aws:ec2/vpc:Vpc", "ec2", "create_vpc", {"CidrBlock": "10.40.0.0/16"}, {"vpc": "Vpc.VpcId"}),
    Call("aws:ec2/subnet:Subnet", "ec2", "create_subnet", {"VpcId": "{vpc}", "CidrBlock": "10.40.0.0/24", "AvailabilityZone": "eu-central-1a"},
         {"subnet": "Subnet.SubnetId"}),
    Call("", "ec2", "create_subnet", {"VpcId": "{vpc}", "CidrBlock": "10.40.1.0/24", "AvailabilityZone": "eu-central-1b"},
         {"other": "Subnet.SubnetId"}),
    Call("aws:ec2/internetGateway:InternetGateway", "ec2", "create_internet_gateway", {}, {"gateway": "InternetGateway.InternetGatewayId"}),
    Call("", "ec2", "attach_internet_gateway", {"InternetGatewayId": "{gateway}", "VpcId": "{vpc}"}),
    Call("aws:ec2/eip:Eip", "ec2", "allocate_address", {"Domain": "vpc"}, {"address": "AllocationId"}),
    Call("aws:ec2/natGateway:NatGateway", "ec2", "create_nat_gateway", {"SubnetId": "{subnet}", "AllocationId": "{address}"}),
    Call("aws:ec2/routeTable:RouteTable", "ec2", "create_route_table", {"VpcId": "{vpc}"}, {"table": "RouteTable.RouteTableId"}),
    Call("aws:ec2/route:Route", "ec2", "create_route",
         {"RouteTableId": "{table}", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "{gateway}"}),
    Call("aws:ec2/routeTableAssociation:RouteTableAssociation", "ec2", "associate_route_table", {"RouteTableId": "{table}", "SubnetId": "{subnet}"}),
    Call("aws:ec2/vpcEndpoint:VpcEndpoint", "ec2", "create_vpc_endpoint",
         {"VpcId": "{vpc}", "ServiceName": "com.amazonaws.eu-central-1.s3", "RouteTableIds": ["{table}"]}),
    Call("aws:ec2/securityGroup:SecurityGroup", "ec2", "create_security_group",
         {"GroupName": "group", "Description": "group", "VpcId": "{vpc}"}, {"group": "GroupId"}),
    Call("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "ec2", "describe_security_groups",
         {"Filters": [{"Name": "vpc-id", "Values": ["{vpc}"]}, {"Name": "group-name", "Values": ["default"]}]}),
    Call("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "ec2", "authorize_security_group_ingress",
         {"GroupId": "{group}", "IpPermissions": [_HOP]}),
    Call("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "ec2", "authorize_security_group_egress",
         {"GroupId": "{group}", "IpPermissions": [_HOP]}),
    Call("aws:cloudwatch/logGroup:LogGroup", "logs", "create_log_group", {"logGroupName": "/teal/logs"}),
    Call("", "logs", "create_log_group", {"logGroupName": "aws-waf-logs-teal"}),
    Call("aws:ec2/flowLog:FlowLog", "ec2", "create_flow_logs",
         {"ResourceIds": ["{vpc}"], "ResourceType": "VPC", "TrafficType": "REJECT", "LogGroupName": "/teal/logs", "DeliverLogsPermissionArn": "{role}"}),
    Call("aws:eks/cluster:Cluster", "eks", "create_cluster",
         {"name": "teal", "version": "1.35", "roleArn": "{role}", "resourcesVpcConfig": {"subnetIds": ["{subnet}", "{other}"]}}),
    Call("aws:eks/accessEntry:AccessEntry", "eks", "create_access_entry", {"clusterName": "teal", "principalArn": "{role}"}),
    Call("aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "eks", "associate_access_policy",
         {"clusterName": "teal", "principalArn": "{role}", "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
          "accessScope": {"type": "cluster"}}),
    Call("aws:eks/addon:Addon", "eks", "create_addon", {"clusterName": "teal", "addonName": "metrics-server"}),
    Call("aws:eks/podIdentityAssociation:PodIdentityAssociation", "eks", "create_pod_identity_association",
         {"clusterName": "teal", "namespace": "teal-blue", "serviceAccount": "teal", "roleArn": "{role}"}),
    Call("aws:acm/certificate:Certificate", "acm", "request_certificate", {"DomainName": "teal.example.com", "ValidationMethod": "DNS"},
         {"certificate": "CertificateArn"}),
    Call("aws:acm/certificateValidation:CertificateValidation", "acm", "describe_certificate", {"CertificateArn": "{certificate}"}),
    Call("", "route53", "create_hosted_zone", {"Name": "example.com", "CallerReference": "1"}, {"zone": "HostedZone.Id"}),
    Call("aws:route53/record:Record", "route53", "change_resource_record_sets",
         {"HostedZoneId": "{zone}", "ChangeBatch": {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {
             "Name": "teal.example.com", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "other.example.com"}]}}]}}),
    Call("aws:lb/loadBalancer:LoadBalancer", "elbv2", "create_load_balancer",
         {"Name": "teal", "Subnets": ["{subnet}", "{other}"], "SecurityGroups": ["{group}"]}, {"balancer": "LoadBalancers.0.LoadBalancerArn"}),
    Call("aws:lb/targetGroup:TargetGroup", "elbv2", "create_target_group",
         {"Name": "teal", "Protocol": "HTTP", "Port": 8000, "VpcId": "{vpc}", "TargetType": "ip"}, {"target": "TargetGroups.0.TargetGroupArn"}),
    Call("aws:lb/listener:Listener", "elbv2", "create_listener",
         {"LoadBalancerArn": "{balancer}", "Protocol": "HTTP", "Port": 80, "DefaultActions": _FORWARD}, {"listener": "Listeners.0.ListenerArn"}),
    Call("aws:lb/listenerRule:ListenerRule", "elbv2", "create_rule",
         {"ListenerArn": "{listener}", "Priority": 1, "Conditions": [{"Field": "path-pattern", "Values": ["/*"]}], "Actions": _FORWARD}),
    Call("aws:wafv2/webAcl:WebAcl", "wafv2", "create_web_acl",
         {"Name": "teal", "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": _ACL}, {"acl": "Summary.ARN"}),
    Call("aws:wafv2/webAclAssociation:WebAclAssociation", "wafv2", "associate_web_acl", {"WebACLArn": "{acl}", "ResourceArn": "{balancer}"}),
    Call("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration", "wafv2", "put_logging_configuration",
         {"LoggingConfiguration": {"ResourceArn": "{acl}", "LogDestinationConfigs": ["arn:aws:logs:eu-central-1:123456789012:log-group:aws-waf-logs-teal"]}}),
    Call("aws:rds/subnetGroup:SubnetGroup", "rds", "create_db_subnet_group",
         {"DBSubnetGroupName": "teal", "DBSubnetGroupDescription": "teal", "SubnetIds": ["{subnet}", "{other}"]}),
    Call("aws:rds/parameterGroup:ParameterGroup", "rds", "create_db_parameter_group",
         {"DBParameterGroupName": "teal", "DBParameterGroupFamily": "postgres17", "Description": "teal"}),
    Call("aws:rds/instance:Instance", "rds", "create_db_instance",
         {"DBInstanceIdentifier": "teal", "Engine": "postgres", "DBInstanceClass": "db.t4g.small", "AllocatedStorage": 20, "MasterUsername": "teal",
          "ManageMasterUserPassword": True, "DBSubnetGroupName": "teal"}, {"database": "DBInstance.DBInstanceArn"}),
    Call("aws:elasticache/subnetGroup:SubnetGroup", "elasticache", "create_cache_subnet_group",
         {"CacheSubnetGroupName": "teal", "CacheSubnetGroupDescription": "teal", "SubnetIds": ["{subnet}"]}),
    Call("aws:elasticache/parameterGroup:ParameterGroup", "elasticache", "create_cache_parameter_group",
         {"CacheParameterGroupName": "teal", "CacheParameterGroupFamily": "valkey8", "Description": "teal"}),
    Call("aws:elasticache/replicationGroup:ReplicationGroup", "elasticache", "create_replication_group",
         {"ReplicationGroupId": "teal", "ReplicationGroupDescription": "teal", "Engine": "valkey", "CacheNodeType": "cache.t4g.micro", "NumCacheClusters": 1}),
    Call("aws:backup/vault:Vault", "backup", "create_backup_vault", {"BackupVaultName": "vault"}, {"vault": "BackupVaultArn"}),
    Call("aws:backup/vaultLockConfiguration:VaultLockConfiguration", "backup", "put_backup_vault_lock_configuration",
         {"BackupVaultName": "vault", "MinRetentionDays": 35}),
    Call("aws:backup/plan:Plan", "backup", "create_backup_plan", {"BackupPlan": {"BackupPlanName": "plan", "Rules": _RULE}}, {"plan": "BackupPlanId"}),
    Call("aws:backup/selection:Selection", "backup", "create_backup_selection",
         {"BackupPlanId": "{plan}", "BackupSelection": {"SelectionName": "teal", "IamRoleArn": "{role}", "Resources": ["{database}"]}}),
    Call("aws:backup/restoreTestingPlan:RestoreTestingPlan", "backup", "create_restore_testing_plan",
         {"RestoreTestingPlan": {"RestoreTestingPlanName": "teal", "ScheduleExpression": "cron(0 8 ? * MON *)", "RecoveryPointSelection": {
             "Algorithm": "LATEST_WITHIN_WINDOW", "IncludeVaults": ["{vault}"], "RecoveryPointTypes": ["SNAPSHOT"]}}}),
    Call("aws:backup/restoreTestingSelection:RestoreTestingSelection", "backup", "create_restore_testing_selection",
         {"RestoreTestingPlanName": "teal", "RestoreTestingSelection": {"RestoreTestingSelectionName": "database", "ProtectedResourceType": "RDS",
                                                                        "IamRoleArn": "{role}", "ProtectedResourceArns": ["{database}"]}}),
    Call("aws:s3/bucket:Bucket", "s3", "create_bucket",
         {"Bucket": "teal-bucket", "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}),
    Call("aws:s3/bucketVersioning:BucketVersioning", "s3", "put_bucket_versioning",
         {"Bucket": "teal-bucket", "VersioningConfiguration": {"Status": "Enabled"}}),
    Call("aws:s3/bucketPolicy:BucketPolicy", "s3", "put_bucket_policy", {"Bucket": "teal-bucket", "Policy": _TLS}),
    Call("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "s3", "put_public_access_block",
         {"Bucket": "teal-bucket", "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}}),
    Call("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "s3", "put_bucket_ownership_controls",
         {"Bucket": "teal-bucket", "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}),
    Call("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", "s3", "put_bucket_encryption",
         {"Bucket": "teal-bucket", "ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}}),
    Call("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "s3", "put_bucket_lifecycle_configuration",
         {"Bucket": "teal-bucket", "LifecycleConfiguration": {"Rules": [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}]}}),
    Call("aws:secretsmanager/secret:Secret", "secretsmanager", "create_secret", {"Name": "teal/secret"}, {"secret": "ARN"}),  # pragma: allowlist secret
    Call("aws:secretsmanager/secretVersion:SecretVersion", "secretsmanager", "put_secret_value", {"SecretId": "{secret}", "SecretString": "x"}),
    Call("aws:sns/topic:Topic", "sns", "create_topic", {"Name": "teal"}, {"topic": "TopicArn"}),
    Call("aws:sns/topicPolicy:TopicPolicy", "sns", "set_topic_attributes", {"TopicArn": "{topic}", "AttributeName": "Policy", "AttributeValue": _TLS}),
    Call("aws:sns/topicSubscription:TopicSubscription", "sns", "subscribe", {"TopicArn": "{topic}", "Protocol": "email", "Endpoint": "oncall@example.com"}),
    Call("aws:ecr/repository:Repository", "ecr", "create_repository", {"repositoryName": "teal"}),
    Call("aws:lambda/function:Function", "lambda", "create_function",
         {"FunctionName": "teal", "Runtime": "python3.13", "Role": "{role}", "Handler": "index.handler", "Code": {"ZipFile": _code()}}, {"function": "FunctionArn"}),
    Call("aws:lambda/permission:Permission", "lambda", "add_permission",
         {"FunctionName": "teal", "StatementId": "events", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}),
    Call("aws:secretsmanager/secretRotation:SecretRotation", "secretsmanager", "rotate_secret",
         {"SecretId": "{secret}", "RotationRules": {"AutomaticallyAfterDays": 1000}, "RotateImmediately": False}),
    Call("aws:cloudwatch/eventRule:EventRule", "events", "put_rule", {"Name": "teal", "ScheduleExpression": "rate(1 minute)"}),
    Call("aws:cloudwatch/eventTarget:EventTarget", "events", "put_targets", {"Rule": "teal", "Targets": [{"Id": "1", "Arn": "{function}"}]}),
    Call("aws:scheduler/schedule:Schedule", "scheduler", "create_schedule",
         {"Name": "teal", "ScheduleExpression": "cron(0 9 15 1 ? *)", "FlexibleTimeWindow": {"Mode": "OFF"},
          "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sns:publish", "RoleArn": "{role}"}}),
    Call("aws:cloudwatch/metricAlarm:MetricAlarm", "cloudwatch", "put_metric_alarm",
         {"AlarmName": "teal", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "MetricName": "CPUUtilization",
          "Namespace": "AWS/RDS", "Period": 60, "Statistic": "Maximum", "Threshold": 1}),
    Call("aws:cloudwatch/dashboard:Dashboard", "cloudwatch", "put_dashboard", {"DashboardName": "teal", "DashboardBody": '{"widgets": []}'}),
    Call("aws:amp/workspace:Workspace", "amp", "create_workspace", {"alias": "teal"}, {"workspace": "workspaceId", "workspace_arn": "arn"}),
    Call("aws:amp/ruleGroupNamespace:RuleGroupNamespace", "amp", "create_rule_groups_namespace",
         {"workspaceId": "{workspace}", "name": "teal", "data": b"groups: []"}),
    Call("aws:amp/alertManagerDefinition:AlertManagerDefinition", "amp", "create_alert_manager_definition",
         {"workspaceId": "{workspace}", "data": b"alertmanager_config: ''"}),
    Call("aws:amp/scraper:Scraper", "amp", "create_scraper",
         {"scrapeConfiguration": {"configurationBlob": b"scrape_configs: []"}, "destination": {"ampConfiguration": {"workspaceArn": "{workspace_arn}"}},
          "source": {"eksConfiguration": {"clusterArn": "arn:aws:eks:eu-central-1:123456789012:cluster/teal", "subnetIds": ["{subnet}"]}}}),
    Call("aws:budgets/budget:Budget", "budgets", "create_budget",
         {"AccountId": "123456789012", "Budget": {"BudgetName": "teal", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "1", "Unit": "USD"}}}),
)  # fmt: skip


def types_of_the_program() -> tuple[str, ...]:
    """Every AWS type that a stack registers, from the inventory."""
    lines = [line for file in INVENTORY.glob("*.txt") for line in file.read_text().splitlines()]
    return tuple(sorted({line.split()[0] for line in lines if line.startswith("aws:")}))


def measure(aws: AwsServer) -> Iterator[tuple[Call, str]]:
    """Each call of a type with why it was refused; empty when it was answered."""
    made: dict[str, str] = {}
    for call in CALLS:
        said = ""
        try:
            parameters = _filled(call.parameters, made)
            answer = getattr(aws.client(call.service, _ONCE), call.operation)(**parameters)
            made |= {name: str(_part(answer, path)) for name, path in call.keep.items()}
        except KeyError as missing:
            said = f"it needs {missing.args[0]}, which was refused"
        except ClientError as error:
            said = _reason(error)
        except ResponseParserError:
            said = "500 not implemented"  # moto's server answers with a page of its own
        except BotoCoreError as error:
            said = str(error).splitlines()[0]
        if call.kind:
            yield call, said


def _reason(error: ClientError) -> str:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    said = str(error.response.get("Error", {}).get("Message", "")).splitlines()
    page = not said or not said[0] or said[0].startswith("<")  # moto's answer to what it does not know
    return f"{status} not implemented" if page else f"{status} {said[0][:90]}"


def _filled(value: Any, made: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, made) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, made) for each in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}") and value[1:-1].isidentifier():
        return made[value[1:-1]]
    return value


def _part(answer: Any, path: str) -> Any:
    return reduce(lambda found, step: found[int(step) if step.isdigit() else step], path.split("."), answer)


def table(found: list[tuple[Call, str]]) -> str:
    """The table: what is accepted by service, and each refusal with its reason."""
    accepted = [call for call, said in found if not said]
    rows = [f"{len(accepted)} of {len(found)} types are accepted.\n\n| service | accepted | refused |\n|---|---|---|\n"]
    for service in sorted({call.kind.split(":")[1].split("/")[0] for call, _ in found}):
        of = [(call.kind.rsplit(":", 1)[1], said) for call, said in found if call.kind.startswith(f"aws:{service}/")]
        yes = ", ".join(name for name, said in of if not said) or "none"
        no = "; ".join(f"{name} ({said})" for name, said in of if said) or "none"
        rows.append(f"| {service} | {yes} | {no} |\n")
    return "".join(rows)


def page_with_table(page: str, text: str) -> str:
    """The page with the table between its markers."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{text}{END}{rest.partition(END)[2]}"


def main() -> int:
    logging.getLogger("werkzeug").setLevel(
        logging.CRITICAL
    )  # a line for each request, and a trace for each that is not implemented
    with aws_server.start() as aws:
        text = table(list(measure(aws)))
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
