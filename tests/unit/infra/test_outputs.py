"""The platform's outputs: what a color and `teal` read of them, and nothing secret."""

from __future__ import annotations

import json
from pathlib import Path

from app.settings import Settings
from contract.pods import SECRETS_FOLDER
from infra.compose.operations import state_location
from infra.config.read import load_config
from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation
from infra.evaluation.mocks import ACCOUNT
from infra.service.inputs import parse_inputs
from teal.aws.names import STACK_TAG, StateNames
from teal.aws.platform import Platform
from tests.unit.infra.conftest import Stack, variant
from tests.unit.infra.service_program import record


def _plain(result: Evaluation) -> str:
    return json.dumps(dict(result.outputs))


def test_a_colors_program_takes_them(platform: Evaluation) -> None:
    given = parse_inputs(json.dumps(record()), _plain(platform))
    assert given.platform.namespaces.keys() == {"blue", "green"}
    assert given.platform.vpc_cidr


def test_teal_takes_them(platform: Evaluation) -> None:
    read = Platform.model_validate_json(_plain(platform))
    assert set(Platform.model_fields) - {"document"} <= set(platform.outputs)
    assert read.rule_arn == platform.outputs["rule_arn"]
    assert read.target_group_arns.keys() == read.probe_secret_arns.keys() == {"blue", "green"}


def test_none_of_them_is_secret_so_the_release_role_reads_them_without_the_platforms_key(platform: Evaluation) -> None:
    assert platform.secret_outputs == frozenset()


def test_a_secret_output_would_be_seen(tmp_path: Path) -> None:
    main = tmp_path / "main.py"
    main.write_text("import pulumi\npulumi.export('shown', 'x')\npulumi.export('hidden', {'a': [pulumi.Output.secret('y')]})\n")
    result = evaluation.evaluate_program("p", main, "s", {})
    assert result.secret_outputs == {"hidden"}
    assert result.outputs == {"shown": "x", "hidden": {"a": ["y"]}}


def test_what_pods_are_told_are_settings_of_the_service(platform: Evaluation) -> None:
    known: set[str] = {"PGUSER", "PGPASSWORD"}  # of libpq itself
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        known.update([f"TEAL_{name.upper()}"] if alias is None else [str(choice) for choice in alias.choices])  # type: ignore[union-attr]
    variables = set(platform.outputs["app_environment"]) | {name for name in platform.outputs["app_secrets"] if name.isupper()}
    assert variables <= known
    files = {name for name in platform.outputs["app_secrets"] if not name.isupper()}
    assert platform.outputs["app_environment"]["TEAL_ELASTICSEARCH_CA"] in {f"{SECRETS_FOLDER}/{name}" for name in files}


def test_pods_plain_settings_are_valid_together(platform: Evaluation, monkeypatch: object) -> None:
    given = {key: value for key, value in platform.outputs["app_environment"].items() if key.startswith("TEAL_")}
    fields = {key.removeprefix("TEAL_").lower(): value for key, value in given.items()}
    Settings(**fields, database_url=platform.outputs["app_environment"]["DATABASE_URL"])
    assert "@" not in platform.outputs["app_environment"]["DATABASE_URL"]  # user and password come by PGUSER and PGPASSWORD


def test_the_state_is_where_bootstrap_puts_it_and_the_tag_is_the_one_by_which_destroy_finds_leftovers(stack: Stack) -> None:
    config = load_config(evaluation.stack_values(stack), stack, "x")
    named, made = state_location(config, ACCOUNT), StateNames(stack, ACCOUNT, config.region)
    assert named.state_bucket == made.bucket
    assert named.platform_key_alias == made.key_alias("platform")
    assert named.color_key_alias == made.key_alias("colors")
    assert config.tags[STACK_TAG] == stack


def test_without_a_model_at_bedrock_the_service_is_told_that_there_is_none() -> None:
    """The image holds no model, so the service's own default would look for files that are not there."""
    made = variant().outputs["app_environment"]
    assert (made["TEAL_EMBEDDING"], "TEAL_EMBEDDING_MODEL" in made) == ("none", False)
    image = (evaluation.ROOT / "app" / "Dockerfile").read_text()
    assert "COPY models" not in image
    assert Settings().embedding == "local"


def test_the_models_a_stack_may_name_are_those_the_service_knows(platform: Evaluation) -> None:
    from app.models.embed_bedrock import bedrock_stamp
    from infra.config.sections import ModelsConfig

    for name in ("amazon.titan-embed-text-v2:0", "cohere.embed-english-v3", "eu.cohere.embed-multilingual-v3"):
        assert bedrock_stamp(str(ModelsConfig(embedding=name).embedding)).dimensions
    given = platform.outputs["app_environment"]
    assert given["TEAL_EMBEDDING"] == "bedrock"
    assert bedrock_stamp(given["TEAL_EMBEDDING_MODEL"]).dimensions
