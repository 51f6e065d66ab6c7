"""`teal destroy`: the order, what it keeps, and what it finds left. Pulumi is a stand-in with a state here; tests/engine runs the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from teal.aws.pulumi.cli import StateResource
from teal.aws.session import Aws
from teal.aws.teardown import destroy, emptying
from teal.errors import NEEDS_HUMAN, NeedsHuman
from teal.events import Event
from tests.services.aws_server import REGION, AwsServer, start
from tests.unit.teal.aws.test_destroy import NAMES, PLATFORM, programs, resource


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with start() as running:
        yield running


@pytest.fixture
def aws(server: AwsServer) -> Aws:
    server.reset()
    return Aws(server.client, REGION)


@pytest.fixture
def cluster(aws: Aws) -> None:
    aws.eks.create_cluster(name="teal-dev", roleArn="arn:aws:iam::123456789012:role/c", resourcesVpcConfig={})


@pytest.mark.usefixtures("cluster")
def test_colors_go_first_and_data_is_kept(aws: Aws) -> None:
    found = programs()
    plan = destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev"))
    assert plan.colors == ("dev-blue",)
    events = list(destroy.run_destroy(aws, found, plan))
    assert next(event.step for event in events if event.state == "ok") == "colors"
    assert found.service.stacks() == ()
    assert {one.type for one in found.platform.resources("dev")} == {"aws:kms/key:Key", "aws:rds/instance:Instance"}


@pytest.mark.usefixtures("cluster")
def test_with_data_everything_goes_and_the_stack_is_forgotten(aws: Aws) -> None:
    aws.connect("rds").create_db_instance(
        DBInstanceIdentifier="teal-dev", DBInstanceClass="db.t4g.small", Engine="postgres", DeletionProtection=True,
        MasterUsername="teal", MasterUserPassword="not-a-secret", AllocatedStorage=20,  # pragma: allowlist secret
    )  # fmt: skip
    found = programs()
    list(destroy.run_destroy(aws, found, destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev", delete_data=True))))
    assert found.platform.stacks() == ()
    (instance,) = aws.connect("rds").describe_db_instances()["DBInstances"]
    assert instance["DeletionProtection"] is False


@pytest.mark.usefixtures("cluster")
def test_a_custom_resource_that_does_not_go_stops_the_rest(aws: Aws) -> None:
    found = programs()
    found.platform.stuck = PLATFORM[8].urn
    with pytest.raises(NeedsHuman, match="still there") as raised:
        list(destroy.run_destroy(aws, found, destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev"))))
    assert raised.value.exit_code == NEEDS_HUMAN
    assert PLATFORM[7] in found.platform.resources("dev")  # its operator


def test_data_that_needs_the_cluster_stops_it_before_anything_is_deleted(aws: Aws) -> None:
    cluster, data = PLATFORM[3], PLATFORM[2]
    bound = StateResource(data.urn, data.type, data.id, data.protect, (cluster.urn,))
    found = programs(platform=(cluster, bound), colors=())
    with pytest.raises(NeedsHuman, match="cannot be kept") as raised:
        list(destroy.run_destroy(aws, found, destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev"))))
    assert data.urn in raised.value.next
    assert found.platform.asked == []


def test_again_after_the_end_there_is_nothing_to_do(aws: Aws) -> None:
    found = programs(platform=(), colors=())
    plan = destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev"))
    assert [event.step for event in destroy.run_destroy(aws, found, plan)] == ["leftovers"]


def test_a_cluster_that_is_gone_is_forgotten_not_waited_for(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []
    found = programs()

    def forgetting(_self: object) -> Any:
        asked.append(destroy.FORGET_UNREACHABLE)
        return found

    monkeypatch.setattr(destroy.Programs, "forgetting", forgetting)
    events = list(
        destroy.run_destroy(aws, found, destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev")))
    )  # there is no cluster
    assert asked == [{"PULUMI_K8S_DELETE_UNREACHABLE": "true"}]
    assert events[0].state == "warn"


def test_what_is_left_is_listed_and_billable_things_need_a_human(aws: Aws) -> None:
    ec2 = aws.connect("ec2")
    tags = [{"Key": "teal:stack", "Value": "dev"}]
    volume = ec2.create_volume(
        AvailabilityZone=f"{REGION}a", Size=10,
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "eks:eks-cluster-name", "Value": "teal-dev"}]}],
    )["VolumeId"]  # fmt: skip
    ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])
    ec2.create_vpc(
        CidrBlock="10.1.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "teal:stack", "Value": "prod"}]}]
    )
    seen: list[Event] = []
    with pytest.raises(destroy.BillableLeft) as raised:
        seen.extend(destroy.report_leftovers(aws, "dev", destroy.DestroyRequest("dev")))
    assert raised.value.exit_code == NEEDS_HUMAN
    assert [(event.data["kind"], event.data["billable"], event.data["holds_data"]) for event in seen] == [
        ("ec2:volume", True, True),
        ("ec2:vpc", False, False),
    ]
    assert volume in seen[0].detail


def test_a_key_that_waits_for_its_deletion_and_the_state_of_pulumi_cost_nothing_here(aws: Aws) -> None:
    tags = [{"TagKey": "teal:stack", "TagValue": "dev"}]
    going = aws.kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"]  # type: ignore[arg-type]
    aws.kms.schedule_key_deletion(KeyId=going, PendingWindowInDays=7)
    aws.kms.create_key(Tags=[*tags, {"TagKey": "teal:state", "TagValue": "true"}])  # type: ignore[list-item]
    events = list(destroy.report_leftovers(aws, "dev", destroy.DestroyRequest("dev")))
    assert [event.step for event in events] == ["leftover", "leftovers"]
    assert "kept by intent" in events[0].detail


def test_emptying_takes_every_version_and_image_and_minds_nothing_that_is_gone(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="teal-data", CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]
    aws.s3.put_bucket_versioning(Bucket="teal-data", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        aws.s3.put_object(Bucket="teal-data", Key="k", Body=body)
    aws.s3.delete_object(Bucket="teal-data", Key="k")
    bucket, absent = resource("aws:s3/bucket:Bucket", "b", "teal-data"), resource("aws:s3/bucket:Bucket", "c", "teal-gone")
    emptying.open_up(aws, [bucket, absent])
    aws.s3.delete_bucket(Bucket="teal-data")  # refused while anything is in it


@pytest.mark.usefixtures("cluster")
def test_an_older_environment_s_final_snapshot_does_not_stand_in_the_way_and_none_is_left(aws: Aws) -> None:
    rds = aws.connect("rds")
    instance = {"DBInstanceClass": "db.t4g.small", "Engine": "postgres", "MasterUsername": "teal",
                "MasterUserPassword": "not-a-secret", "AllocatedStorage": 20}  # pragma: allowlist secret  # fmt: skip
    rds.create_db_instance(DBInstanceIdentifier="teal-dev-db", **instance)
    rds.create_db_snapshot(DBInstanceIdentifier="teal-dev-db", DBSnapshotIdentifier="teal-dev-db-final")
    database = resource("aws:rds/instance:Instance", "database", protect=True, identifier="teal-dev-db")
    found = programs(platform=(database,), colors=())
    take = found.platform.destroy

    def destroying(*arguments: Any, **options: Any) -> None:
        """As AWS's provider does: the final snapshot is part of the deletion, and its name must be free."""
        if rds.describe_db_instances()["DBInstances"]:
            rds.delete_db_instance(DBInstanceIdentifier="teal-dev-db", FinalDBSnapshotIdentifier="teal-dev-db-final")
        take(*arguments, **options)

    found.platform.destroy = destroying  # type: ignore[method-assign]
    seen = list(
        destroy.run_destroy(aws, found, destroy.plan_destroy(found, NAMES, destroy.DestroyRequest("dev", delete_data=True)))
    )
    assert rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"] == []
    assert next(event.detail for event in seen if event.step == "copies").startswith("teal-dev-db-final")
