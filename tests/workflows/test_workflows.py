"""What the workflows promise: pinned actions, least rights, nothing for forks, no interrupted release, and commands that exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from teal.aws.names import StateNames
from tests.workflows.workflow_files import FOLDER, ROOT, Workflow, commands, used, workflows

ALL = workflows()
BY_NAME = {workflow.name: workflow for workflow in ALL}
DOCKERFILES = (ROOT / "app" / "Dockerfile", ROOT / "loadtests" / "Dockerfile")
# Everything that any job may write, and why; a workflow or job that is not named here writes nothing.
WRITES = {
    ("preview", "comment"): {"pull-requests"},
    ("platform", "plan"): {"id-token"},  # takes the preview role
    ("platform", "up"): {"id-token"},
    ("release", "build"): {"id-token"},  # takes the role that pushes images, and signs
    ("release", "release"): {"id-token"},  # takes the release role
    ("release", "publish"): {"contents"},  # makes the GitHub Release
    ("rollback", "rollback"): {"id-token"},
    ("resume", "resume"): {"id-token"},
    ("drift", "look"): {"id-token"},
    ("loadtest", "load"): {"id-token"},
    ("drift", "tell"): {"issues"},
}
each = pytest.mark.parametrize("workflow", ALL, ids=lambda workflow: workflow.name)


def table() -> dict[str, dict[str, str]]:
    rows = tomllib.loads((FOLDER / "actions.toml").read_text(encoding="utf-8"))["action"]
    return {row["name"]: row for row in rows}


def test_every_action_is_pinned_to_the_commit_that_the_table_names() -> None:
    rows = table()
    for file, use, version in used():
        name, _, sha = use.partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", sha), f"{file}: {use} is not pinned by commit"
        assert name in rows, f"{file}: {name} is not in .github/actions.toml"
        assert (sha, version) == (rows[name]["sha"], rows[name]["version"]), f"{file}: {use} is not what the table says"


def test_the_update_bot_watches_actions_packages_and_the_images_base() -> None:
    rows = yaml.safe_load((FOLDER / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    watched = {row["package-ecosystem"]: row for row in rows}
    assert watched.keys() == {"github-actions", "docker", "pip"}
    assert set(watched["docker"]["directories"]) == {f"/{path.parent.relative_to(ROOT)}" for path in DOCKERFILES}
    assert all(row["cooldown"]["default-days"] >= 7 for row in rows)


def test_every_image_begins_with_one_that_is_named_by_its_digest() -> None:
    """In the form that Dependabot reads: `FROM image:tag@digest`, without an argument."""
    assert len(DOCKERFILES) == 2
    for path in DOCKERFILES:
        begins = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("FROM ")]
        assert re.fullmatch(r"docker\.io/library/debian:12-slim@sha256:[0-9a-f]{64}", begins[0][1]), path
        stages = {line[3] for line in begins if len(line) == 4}
        assert all(line[1] in stages for line in begins[1:]), f"{path}: a later stage begins with an image of its own"
    bases = {path.read_text(encoding="utf-8").partition("\nFROM ")[2].partition(" AS")[0] for path in DOCKERFILES}
    assert len(bases) == 1


def test_every_image_of_a_pull_request_is_scanned_and_the_advisories_of_every_lock() -> None:
    jobs = BY_NAME["ci"].jobs
    scan = next(step for step in jobs["image"]["steps"] if step.get("uses", "").startswith("anchore/scan-action@"))
    assert scan["with"] | {"image": "teal:ci", "fail-build": True, "severity-cutoff": "medium"} == scan["with"]
    assert any("--tag teal:ci" in step.get("run", "") for step in jobs["image"]["steps"])
    assert any("pip-audit" in step.get("run", "") for step in jobs["advisories"]["steps"])


def test_the_table_names_no_action_that_nobody_uses_and_each_commit_by_its_own_repository() -> None:
    rows = table()
    assert set(rows) == {use.partition("@")[0] for _, use, _ in used()}
    for name, row in rows.items():
        assert row["source"] == f"https://github.com/{name}/commit/{row['sha']}"


@each
def test_a_workflow_may_read_at_most_and_a_job_writes_only_what_is_listed(workflow: Workflow) -> None:
    assert "permissions" in workflow.document, "without it a workflow gets the repository's default rights"
    assert set((workflow.document["permissions"] or {}).items()) <= {("contents", "read")}
    for name, job in workflow.jobs.items():
        rights: dict[str, str] = job.get("permissions", {})
        assert {right for right, level in rights.items() if level != "read"} == WRITES.get((workflow.name, name), set())


@each
def test_a_command_that_fails_before_a_pipe_fails_its_step(workflow: Workflow) -> None:
    """GitHub runs `bash -e` where no shell is named, and `bash -eo pipefail` where bash is: without it `teal release | tee` never fails."""
    assert workflow.document["defaults"] == {"run": {"shell": "bash"}}
    assert not [step for _, step in workflow.steps() if "shell" in step]
    for _, step in workflow.steps():
        assert not re.search(r"\|\s*head\b", step.get("run", "")), "whoever writes into a pipe that closed has failed"


@each
def test_no_checkout_leaves_a_token_behind(workflow: Workflow) -> None:
    for _, step in workflow.steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each
def test_no_workflow_has_a_secret_or_a_stored_key(workflow: Workflow) -> None:
    assert not re.search(r"secrets\.|secrets:|aws-access-key-id|aws-secret-access-key", workflow.text, re.IGNORECASE)


@each
def test_no_workflow_runs_a_fork_s_code_with_rights(workflow: Workflow) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow.triggers)
    if "pull_request" not in workflow.triggers:
        return
    for name, job in workflow.jobs.items():
        if WRITES.get((workflow.name, name)) == {"id-token"}:
            assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]


@each
def test_no_script_holds_an_expression_of_github(workflow: Workflow) -> None:
    """A branch's name, a title or an input would be a part of the script's text, and so run: scripts get them as variables."""
    scripts = [step for _, step in workflow.steps()]
    for path in (FOLDER / "actions").rglob("action.yml"):
        scripts += yaml.safe_load(path.read_text(encoding="utf-8"))["runs"]["steps"]
    assert [step["run"] for step in scripts if "${{" in step.get("run", "")] == []
    assert not [step for step in scripts if "github-script" in step.get("uses", "")]


@each
def test_no_job_takes_what_another_run_left_in_a_cache(workflow: Workflow) -> None:
    """A cache that main's run fills or a pull request's names is files that nobody reviewed, in the job that releases."""
    uses = re.findall(r"uses:\s*(\S+)", workflow.text + (FOLDER / "actions" / "setup" / "action.yml").read_text(encoding="utf-8"))
    assert not [one for one in uses if one.startswith("actions/cache")]
    for _, step in workflow.steps():
        given = {key: value for key, value in step.get("with", {}).items() if "cache" in key}
        assert set(given.values()) <= {False}, given
        if step.get("uses", "").startswith("actions/setup-go@"):
            assert given == {"cache": False}, "its default is a cache"


@each
def test_a_job_that_may_write_here_runs_no_code_of_the_repository(workflow: Workflow) -> None:
    for name, job in workflow.jobs.items():
        if WRITES.get((workflow.name, name), set()) & {"pull-requests", "issues", "contents"}:
            assert not [
                step for step in job["steps"] if "checkout" in step.get("uses", "") or step.get("uses", "").startswith("./")
            ]


@each
def test_no_release_rollback_or_deployment_is_cancelled_by_the_next_one(workflow: Workflow) -> None:
    cancels = workflow.document["concurrency"]["cancel-in-progress"]
    if workflow.name == "ci":
        assert cancels == "${{ github.event_name == 'pull_request' }}"
    else:
        assert cancels is False


def test_a_rollback_does_not_wait_for_the_release_that_it_ends() -> None:
    groups = [BY_NAME[name].document["concurrency"]["group"] for name in ("release", "rollback", "resume", "platform")]
    assert len(set(groups)) == 4


def environment_of(job: dict[str, Any]) -> str:
    """The name of a job's deployment environment."""
    found: str | dict[str, str] = job["environment"]
    return found if isinstance(found, str) else found["name"]


def test_github_s_list_of_deployments_links_to_the_address_in_the_stack_s_file() -> None:
    release = BY_NAME["release"].jobs["release"]
    assert release["environment"]["url"] == "${{ steps.stack.outputs.url }}"
    (step,) = [one for one in release["steps"] if one.get("id") == "stack"]
    script = step["run"].replace(".venv/bin/python", sys.executable).replace('>> "$GITHUB_OUTPUT"', "")
    said = subprocess.run(["bash", "-c", script], cwd=ROOT, env={**os.environ, "STACK": "prod"}, capture_output=True, text=True, check=True)  # fmt: skip
    assert said.stdout == "url=https://teal.example.com\nenvironment=prod\n"


def test_jobs_that_change_an_environment_wait_for_its_reviewers_and_take_the_role_that_trusts_them() -> None:
    from infra.delivery.github_roles import role_name, subjects

    for name, of, kind in (("platform", "up", "up"), ("release", "build", "build"), ("release", "release", "release"),
                           ("rollback", "rollback", "release"), ("resume", "resume", "release")):  # fmt: skip
        workflow = BY_NAME[name]
        job = workflow.jobs[of]
        assert job["if"].startswith("github.ref == 'refs/heads/main'")
        environment = environment_of(job).replace("${{ inputs.stack }}", "prod")
        assert f"repo:o/r:environment:{environment}" in subjects(kind, "o/r", "prod", "main")  # type: ignore[arg-type]
        role = role_name("teal-prod", kind)  # type: ignore[arg-type]
        spelled = workflow.text.replace("${{ inputs.stack }}", "prod").replace("$STACK", "prod")
        assert f":role/{role}" in spelled
    spelled = BY_NAME["drift"].text.replace("${{ matrix.stack }}", "prod")
    assert f":role/{role_name('teal-prod', 'preview')}" in spelled
    assert not any("environment" in job for job in BY_NAME["drift"].jobs.values()), "the preview role trusts no environment"


@each
def test_a_pull_request_s_code_runs_without_a_role_a_state_or_a_runner_of_ours(workflow: Workflow) -> None:
    if "pull_request" not in workflow.triggers:
        return
    for job in workflow.jobs.values():
        assert "id-token" not in job.get("permissions", {})
        assert "vars." not in job["runs-on"]
    assert not re.search(r"role-to-assume|aws-session|PULUMI_BACKEND_URL", workflow.text)


def test_whoever_runs_a_release_takes_the_image_that_another_job_pushed() -> None:
    build, release = (BY_NAME["release"].jobs[name] for name in ("build", "release"))
    assert release["needs"] == "build"
    pushes = ("docker build", "docker push", "imagetools create", "cosign sign", "cosign attest")
    assert all(any(word in step.get("run", "") for step in build["steps"]) for word in pushes)
    assert not [step for step in release["steps"] if any(word in step.get("run", "") for word in pushes)]
    (verified,) = [step for step in release["steps"] if "cosign verify" in step.get("run", "")]
    assert verified["env"]["IMAGE"] == "${{ needs.build.outputs.image }}"


def test_jobs_that_talk_to_a_cluster_run_where_its_api_lets_them_in_and_no_other_job_does() -> None:
    """A cluster's API answers known addresses only; GitHub's own runners have none (docs/releases.md)."""
    ours = {(workflow.name, name) for workflow in ALL for name, job in workflow.jobs.items() if "vars.TEAL_" in job["runs-on"]}
    assert ours == {("platform", "plan"), ("platform", "up"), ("drift", "look"), ("release", "release"), ("rollback", "rollback"), ("resume", "resume"),
            ("loadtest", "load")}  # fmt: skip
    for workflow, name in ours:
        job = BY_NAME[workflow].jobs[name]
        assert job["runs-on"] == "${{ vars.TEAL_RUNNER || 'ubuntu-24.04' }}"
        # Nothing of a stranger's reaches a machine of ours: from main only.
        assert "refs/heads/main" in job["if"]


def test_workflows_look_for_the_state_where_bootstrap_put_it() -> None:
    wanted = StateNames("prod", "111122223333", "eu-central-1").backend_url
    values = {
        "stack": "prod",
        "account": "111122223333",
        "region": "eu-central-1",
        "AWS_ACCOUNT_ID": "111122223333",
        "AWS_REGION": "eu-central-1",
    }
    for name in ("drift", "platform"):
        (found,) = {
            job["env"]["PULUMI_BACKEND_URL"] for job in BY_NAME[name].jobs.values() if "PULUMI_BACKEND_URL" in job.get("env", {})
        }
        assert re.sub(r"\$\{\{ \w+\.(\w+) \}\}", lambda match: values[match[1]], found) == wanted


def test_reviewers_approve_a_plan_and_the_platform_is_changed_by_that_plan_alone() -> None:
    plan, up = (BY_NAME["platform"].jobs[name] for name in ("plan", "up"))
    assert "environment" not in plan, "the plan has to be there before anybody is asked"
    assert up["needs"] == "plan"
    assert up["environment"].endswith("-platform")
    saved = next(step["run"] for step in plan["steps"] if "teal plan" in step.get("run", ""))
    carried = [step["with"]["name"] for job in (plan, up) for step in job["steps"] if "load-artifact" in step.get("uses", "")]
    done = [step["run"] for step in up["steps"] if "pulumi up" in step.get("run", "")]
    assert "--save-plan plan.bin" in saved
    assert carried == ["plan", "plan"]
    assert len(done) == 1
    assert "--plan plan.bin" in done[0]


def test_a_stack_of_another_name_needs_no_change_of_a_workflow() -> None:
    for workflow in ALL:
        inputs = ((workflow.triggers.get("workflow_dispatch") or {}).get("inputs") or {}) if workflow.triggers else {}
        assert "options" not in inputs.get("stack", {}), workflow.name


def test_an_image_is_built_once_listed_signed_and_verified_before_it_is_released() -> None:
    build, release = (
        [step.get("run", step.get("uses", "")) for step in BY_NAME["release"].jobs[name]["steps"]]
        for name in ("build", "release")
    )
    for scripts, words in (
        (build, ("docker build", "anchore/sbom-action", "resolvedDependencies", "cosign sign")),
        (release, ("cosign verify", "teal release", "teal rollback")),
    ):
        order = [next(index for index, script in enumerate(scripts) if word in script) for word in words]
        assert order == sorted(order)
    assert sum("docker build --file" in script for script in (*build, *release)) == 1


def test_an_image_from_another_stack_keeps_its_digest_and_what_was_signed_about_it() -> None:
    steps = BY_NAME["release"].jobs["build"]["steps"]
    (copied,) = [step["run"] for step in steps if "imagetools create" in step.get("run", "")]
    assert "--prefer-index=false" in copied
    assert "the copy has another digest" in copied
    (taken,) = [step for step in steps if step.get("if") == "steps.image.outputs.how == 'copied'"]
    assert "cosign verify " in taken["run"]
    assert {"spdxjson", "slsaprovenance1"} <= set(re.findall(r"statement (\w+) >", taken["run"]))
    signed = next(step for step in steps if "cosign sign" in step.get("run", ""))
    assert signed["if"] == "steps.image.outputs.how != 'kept'"
    for type_, file in (("spdxjson", "out/sbom.spdx.json"), ("slsaprovenance1", "out/provenance.json")):
        assert f"cosign attest --yes --type {type_} --predicate {file}" in signed["run"]


def test_the_provenance_names_the_commit_the_workflow_and_the_run(tmp_path: Path) -> None:
    """The fields that github.com/actions/buildtypes, workflow/v1, demands."""
    (step,) = [one for one in BY_NAME["release"].jobs["build"]["steps"] if one.get("name") == "Say how it was built"]
    (tmp_path / "out").mkdir()
    given = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "c0ffee",
             "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2", "RUNNER_ENVIRONMENT": "github-hosted", "GITHUB_EVENT_NAME": "workflow_dispatch"}  # fmt: skip
    subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=tmp_path, env={**os.environ, **given}, check=True)
    found = json.loads((tmp_path / "out" / "provenance.json").read_text())
    definition, details = found["buildDefinition"], found["runDetails"]
    assert definition["externalParameters"] == {
        "runner_environment": "github-hosted",
        "workflow": {
            "ref": "refs/heads/main",
            "repository": "https://github.com/o/r",
            "path": ".github/workflows/release.yml",
        },
    }
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://github.com/o/r@refs/heads/main", "digest": {"gitCommit": "c0ffee"}}
    ]
    assert details["builder"]["id"] == "https://github.com/o/r/.github/workflows/release.yml@refs/heads/main"
    assert details["metadata"]["invocationId"] == "https://github.com/o/r/actions/runs/7/attempts/2"


def test_a_release_of_a_stack_is_told_how_ci_ended_by_a_token_that_only_reads() -> None:
    release = BY_NAME["release"].jobs["release"]
    (step,) = [one for one in release["steps"] if one.get("id") == "release"]
    assert step["env"]["GITHUB_TOKEN"] == "${{ github.token }}"
    assert release["permissions"] == {"contents": "read", "actions": "read", "id-token": "write"}


def test_only_a_release_of_prod_becomes_a_release_on_github_with_notes() -> None:
    job = BY_NAME["release"].jobs["publish"]
    assert job["needs"] == ["build", "release"]
    assert "needs.release.outputs.environment == 'prod'" in job["if"]
    (step,) = job["steps"]
    assert "--generate-notes" in step["run"]
    assert '--target "$COMMIT"' in step["run"]


def test_whoever_gives_the_traffic_back_need_not_wait_for_those_who_approve_releases() -> None:
    assert BY_NAME["rollback"].jobs["rollback"]["environment"] == "${{ inputs.stack }}-rollback"
    assert BY_NAME["rollback"].triggers["workflow_dispatch"]["inputs"]["command"]["options"] == ["rollback", "abort"]
    assert BY_NAME["resume"].jobs["resume"]["environment"] == "${{ inputs.stack }}"


def test_pulumi_s_command_is_of_the_locked_sdk_s_version() -> None:
    action = yaml.safe_load((FOLDER / "actions" / "setup" / "action.yml").read_text(encoding="utf-8"))
    (version,) = [step["with"]["pulumi-version"] for step in action["runs"]["steps"] if "pulumi/actions@" in step.get("uses", "")]
    assert f"\npulumi=={version} " in (ROOT / "requirements-infra.lock").read_text(encoding="utf-8")


def test_updates_are_proposed_for_every_folder_that_uses_actions() -> None:
    document = yaml.safe_load((FOLDER / "dependabot.yml").read_text(encoding="utf-8"))
    (actions,) = [row for row in document["updates"] if row["package-ecosystem"] == "github-actions"]
    folders = {f"/{path.parent.relative_to(ROOT)}" for path in (FOLDER / "actions").rglob("action.yml")}
    assert set(actions["directories"]) == {"/", *folders}


BARE_DEBIAN = ".ci/bare-debian"  # runs the command that is its one argument


def on_a_bare_debian() -> list[tuple[str, list[str]]]:
    found = [
        (workflow.name, step["run"])
        for workflow in ALL
        for _, step in workflow.steps()
        if step.get("run", "").startswith(BARE_DEBIAN)
    ]
    return [(name, shlex.split(script)) for name, script in found]


def scripts() -> list[tuple[str, list[str]]]:
    return [(workflow.name, words) for workflow in ALL for _, step in workflow.steps() for words in commands(step.get("run", ""))]


@pytest.mark.parametrize(("workflow", "words"), [(name, words) for name, words in scripts() if words[0].endswith("bin/teal")],
                         ids=lambda value: " ".join(value) if isinstance(value, list) else value)  # fmt: skip
def test_every_teal_command_in_a_workflow_exists_with_its_options(workflow: str, words: list[str]) -> None:
    from teal.cli import app

    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, f"{workflow}: there is no command {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


@pytest.mark.parametrize("words", [words for _, words in scripts() if "-m" in words and "python" in words[0]], ids=" ".join)
def test_every_python_module_in_a_workflow_exists_with_its_options(words: list[str]) -> None:
    module, *rest = words[words.index("-m") + 1 :]
    said = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for word in rest:
        assert not word.startswith("--") or word in said


def test_every_script_and_make_target_in_a_workflow_exists() -> None:
    targets = set(re.findall(r"^([a-z./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    on_debian = [(name, shlex.split(words[1])) for name, words in on_a_bare_debian()]
    assert on_debian
    for workflow, words in [*((name, words) for name, words in scripts() if words[0] != BARE_DEBIAN), *on_debian]:
        if words[0] == "make":
            wanted = {word for word in words[1:] if not word.startswith("-") and "=" not in word}
            assert wanted <= targets, f"{workflow}: {words}"
        elif words[0].startswith((".github/", ".ci/")):
            assert os.access(ROOT / words[0], os.X_OK), f"{workflow}: {words[0]}"


def test_a_session_is_renewed_from_a_file_only_the_job_can_read(tmp_path: Path) -> None:
    """The script against a server that plays GitHub's: the token is asked for AWS, kept privately, and named to later steps. When
    no new one is to be had, the one before stays."""
    import stat

    from tests.services.http_stand_in import Handler, listening

    asked: list[tuple[str, str | None]] = []

    class Github(Handler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            self.answer(body=b'{"value": "the-token"}' if len(asked) == 1 else b'{"message": "try later"}')

    with listening(Github) as port:
        environ = {**os.environ, "RUNNER_TEMP": str(tmp_path), "GITHUB_ENV": str(tmp_path / "env"), "GITHUB_RUN_ID": "7", "no_proxy": "127.0.0.1", "TEAL_TOKEN_SECONDS": "1",
                   "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t", "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{port}/?v=1"}  # fmt: skip
        ran = subprocess.Popen(
            [FOLDER / "aws-session", "arn:aws:iam::1:role/r", "eu-central-1"], env=environ, start_new_session=True
        )
        try:
            assert ran.wait(30) == 0
            deadline = time.monotonic() + 30
            while "no new token" not in (tmp_path / "aws-session.log").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            os.killpg(ran.pid, 15)  # the part that goes on renewing
    settings = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    token = Path(settings["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == ("the-token", 0o600)
    assert (settings["AWS_ROLE_ARN"], settings["AWS_REGION"]) == ("arn:aws:iam::1:role/r", "eu-central-1")
    assert set(asked) == {("/?v=1&audience=sts.amazonaws.com", "bearer t")}


def test_a_session_s_token_is_in_no_command_s_arguments() -> None:
    """Everybody on the machine may read arguments: `ps`, /proc/PID/cmdline."""
    for line in (FOLDER / "aws-session").read_text().splitlines():
        if "ACTIONS_ID_TOKEN_REQUEST_TOKEN" in line:
            assert line.strip().startswith("printf "), line  # of the shell itself, no process
