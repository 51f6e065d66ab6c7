"""Prod's refusal on real adapters: staging's record in a bucket of S3 (moto's server), as staging's own releaser wrote it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contract.names import release_bucket
from teal.aws.promotion import promotion_of
from teal.aws.stack_file import read_stack_file
from teal.errors import BadInput
from teal.ports.target import Image
from teal.record.file import ABSENT
from teal.record.model import ColorState, Record
from teal.record.releases import ReleaseOutcome, ReleasePlan, outcome_key, plan_key
from teal.record.s3 import S3RecordStore, client_config
from teal.release.promotion import require_promoted
from tests.services import aws_server

pytestmark = pytest.mark.integration
ACCOUNT = "123456789012"
DIGEST = f"sha256:{'5' * 64}"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_prod_reads_staging_s_record_where_staging_writes_it(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(
        f"config:\n  aws:region: {aws_server.REGION}\n  teal:promotion:\n    promoted_from: {{stack: staging}}\n",
        encoding="utf-8",
    )
    in_prod = Image(f"{ACCOUNT}.example.com/teal-prod@{DIGEST}", "c0ffee", "0001", "0001")
    with aws_server.start() as server:
        client, bucket = server.client("s3", client_config()), release_bucket("staging", ACCOUNT)
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws_server.REGION})
        staging = S3RecordStore(client, bucket)
        promotion = promotion_of(read_stack_file(tmp_path, "prod"), ACCOUNT, lambda _region: client, {})
        assert promotion is not None

        with pytest.raises(BadInput, match="is none of the last releases in staging"):
            list(require_promoted(promotion, in_prod))

        state = ColorState(release_id="r1", image=f"{ACCOUNT}.example.com/teal-staging@{DIGEST}", index="teal", schema_min="0001",
                           schema_max="0001", replica_floor=2)  # fmt: skip
        plan = ReleasePlan(id="r1", target="blue", previous=None, state=state, replaces=None, reindex=False, steps=(), who="a", started_at=NOW)  # fmt: skip
        staging.write(Record(generation=1, history=("r1",)), expected=ABSENT)
        staging.create(plan_key("r1"), plan.model_dump_json().encode())
        with pytest.raises(BadInput, match="ended cannot be read"):
            list(require_promoted(promotion, in_prod))

        outcome = ReleaseOutcome(id="r1", phase="Healthy", reason="every step passed", who="a", ended_at=NOW)
        staging.create(outcome_key("r1"), outcome.model_dump_json().encode())
        (told,) = require_promoted(promotion, in_prod)
        assert told.detail == "this digest was released in staging as r1, which ended Healthy"
