"""Promises of runbooks/: every alert has its page, every page its form, and every command in it is a real one.

What is held: `teal` lines parse against the real command line; `aws` lines are calls of AWS's API; addresses are routes of the service;
namespaces are the platform's; Diagnosis only reads. What is not: that a command does what its page says. runbooks/README.md says which
pages were followed by hand.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from starlette.routing import Route

from app.http.routes import ask, documents, health, search
from app.http.routes import pages as web
from infra.observability.alerts import ALERTS
from infra.platform.cluster import autoscaling
from infra.platform.cluster.colors import NAMESPACES
from infra.platform.search import operator, resources
from infra.platform.stores import database_maintenance
from tests.runbooks import pages, shell
from tests.runbooks.pages import Block, Page
from tests.runbooks.real_commands import aws_refuses, teal_refuses

PAGES = pages.pages()
BLOCKS = [block for page in PAGES for block in page.blocks]
SHELL = pages.readme().blocks
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verification"]
OPERATIONS = {"release", "kubernetes-upgrade", "rollback", "restore-search", "restore-database", "stuck-release", "stuck-pulumi-state", "key-rotation",
              "secret-rotation", "elasticsearch-upgrade", "disk-full", "redis-failover", "cost-spike", "region-lost"}  # fmt: skip
# What an operator would write behind `=REPLACE`, or what the shell of the README sets: enough for a parser to be content.
VALUES = {"STACK": "prod", "NEXT": "1.36", "ADDON": "metrics-server", "NS": "teal-blue", "COLOR": "blue", "TREE": ".", "VERSION": "1.2.3", "IMAGE": "0123456789ab", "NEW": "prod2", "RELEASE": "r20261128-120000-0a1b",
          "URL": "https://teal.example.com", "ES": "https://search", "DOCUMENT": "0192", "TIME": "2026-11-25T08:30:00Z", "KEY_ID": "0192", "ID": "0192"}  # fmt: skip
READING_TEAL = {"status", "history", "logs", "doctor", "snapshots", "verify", "cost", "advise", "plan"}
READING_KEYS = {"list"}
FOR_STACKS = {"bootstrap", "plan", "cost", "destroy", "advise"}  # they know no stack on this machine
OF_A_LAPTOP = {"TEAL_HOME", "CA", "PORT", "SUPERVISOR"}
OF_AWS = {"STACK", "NS", "ACCOUNT", "DB"}
# They only read and print. `pulumi` does as `pulumi stack`, `psql` with one SELECT, `curl` while it sends nothing.
READING_TOOLS = {"date", "df", "du", "grep", "ls"}
NAMESPACES_KNOWN = {
    *NAMESPACES.values(),
    resources.NAMESPACE,
    database_maintenance.NAMESPACE,
    autoscaling.NAMESPACE,
    operator.NAMESPACE,
}


@cache
def script(block: Block) -> shell.Script:
    return shell.read(block.text, VALUES)


def of_kind(name: str) -> list[pytest.param]:  # type: ignore[valid-type]
    """Every different command of that name, in blocks and, for `teal`, between the words too; with where it stands."""
    found: dict[tuple[str, ...], list[str]] = {}
    lines = [(str(block), block.text) for block in (*BLOCKS, *SHELL)]
    if name == "teal":
        lines += [
            (f"{page.slug}.md", code) for page in (*PAGES, pages.readme()) for code in page.code if code.startswith("teal ")
        ]
    for where, text in lines:
        for words in shell.read(text, VALUES).commands:
            if words[0] == name:
                found.setdefault(words, []).append(where)
    return [pytest.param(words[1:], places, id=" ".join(words)) for words, places in found.items()]


# Pages and alerts


def test_there_are_pages_for_the_operations_that_are_rare_and_matter() -> None:
    assert {page.slug for page in PAGES} >= OPERATIONS


@pytest.mark.parametrize("slug", sorted({alert.runbook for alert in ALERTS}))
def test_every_alert_has_a_page_that_names_it(slug: str) -> None:
    page = next((page for page in PAGES if page.slug == slug), None)
    assert page is not None, f"no runbooks/{slug}.md"
    missing = {alert.name for alert in ALERTS if alert.runbook == slug} - set(page.alerts)
    assert not missing, f"runbooks/{slug}.md names no {', '.join(sorted(missing))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_names_only_alerts_that_lead_to_it(page: Page) -> None:
    leading = {alert.name for alert in ALERTS if alert.runbook == page.slug}
    assert set(page.alerts) <= leading, f"not in infra/observability/alerts.py with the runbook {page.slug}"
    assert len(set(page.alerts)) == len(page.alerts)


def test_the_readme_leads_from_every_alert_and_to_every_page() -> None:
    rows = [row for row in pages.tables(pages.FOLDER / "README.md") if len(row) == 2 and row[1].endswith(".md")]
    assert {row[1].removesuffix(".md") for row in rows} == {page.slug for page in PAGES}
    led = {
        (name, row[1])
        for row in rows
        for name in row[0].split(", ")
        if name in {alert for page in PAGES for alert in page.alerts}
    }
    assert led == {(name, f"{page.slug}.md") for page in PAGES for name in page.alerts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_has_the_form(page: Page) -> None:
    assert page.title
    assert list(page.sections) == HEADINGS
    assert all(text.strip() or any(block.section == name for block in page.blocks) for name, text in page.sections.items())
    assert len({block.name for block in page.blocks}) == len(page.blocks)
    assert {block.section for block in page.blocks} >= {"Diagnosis", "Verification"}
    assert all(info == "yaml" or re.fullmatch(r"bash name=[a-z-]+", info) for info in page.fences), page.fences


@pytest.mark.parametrize("page", [*PAGES, pages.readme()], ids=lambda page: page.slug)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if "://" not in link:
            assert (pages.FOLDER / link.partition("#")[0]).exists(), link


# Blocks


@pytest.mark.parametrize("block", [*BLOCKS, *SHELL], ids=str)
def test_a_block_is_bash(block: Block) -> None:
    checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, timeout=10, check=False)
    assert checked.returncode == 0, checked.stderr
    assert not script(block).broken


@pytest.mark.parametrize("block", [*BLOCKS, *SHELL], ids=str)
def test_a_block_is_for_a_laptop_or_for_aws_as_its_name_says(block: Block) -> None:
    seen = script(block)
    if block.for_aws:
        here = [words for words in seen.commands if words[0] == "teal" and words[1] not in FOR_STACKS and "--stack" not in words]
        assert not here
        assert not seen.used & OF_A_LAPTOP
    else:
        assert not {words[0] for words in seen.commands} & {"aws", "kubectl", "pulumi"}
        assert not seen.used & OF_AWS


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_variable_is_set_on_the_page_or_by_the_shell_of_the_readme(block: Block) -> None:
    page = next(page for page in PAGES if page.slug == block.page)
    side = [one for one in (*page.blocks, *SHELL) if one.for_aws == block.for_aws]
    known = {name for one in side for name in script(one).assigned} | {"TEAL_HOME"} | set(page.code)
    assert script(block).used <= known, f"{block} does not say how to set {', '.join(sorted(script(block).used - known))}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.section == "Diagnosis"], ids=str)
def test_diagnosis_only_reads(block: Block) -> None:
    seen = script(block)
    assert not [file for file in seen.written if file != "/dev/null"]
    for words in seen.commands:
        assert reads(words), f"{block}: `{' '.join(words)}` may change something"


def reads(words: Sequence[str]) -> bool:
    tool, rest = words[0], words[1:]
    if tool == "teal":
        return rest[0] in READING_TEAL or (rest[0] == "keys" and rest[1] in READING_KEYS)
    if tool == "curl":
        sends = (
            "-X",
            "--request",
            "-d",
            "--data",
            "--data-raw",
            "--json",
            "-F",
            "--form",
            "-T",
            "--upload-file",
            "-o",
            "-O",
            "--output",
        )
        return not any(word in sends for word in rest)
    if tool == "aws":
        return rest[1].startswith(("describe-", "filter-", "get-", "list-"))
    if tool == "kubectl":
        return verb(rest) in {"get", "describe", "logs"}
    if tool == "psql":
        statement = rest[rest.index("-c") + 1] if "-c" in rest else ""
        return re.match(r"SELECT [^;]*$", statement) is not None
    if tool == "pulumi":
        return rest[0] == "stack" and not rest[1].isalpha()
    return tool in READING_TOOLS


def verb(words: Sequence[str]) -> str:
    """kubectl's verb: the first word that is no option and no namespace."""
    return words[2] if words[0] == "-n" else words[0]


@pytest.mark.parametrize(
    "changing",
    ["teal repair", "curl -X POST x", "curl x --json '{}'", "aws rds delete-db-instance", "kubectl -n x delete pod y",
     'psql -c "DELETE FROM documents"', 'psql -c "SELECT 1; DELETE FROM documents"', "rm x", "pulumi up", "teal keys revoke x",
     "x=$(teal rollback)", "for each in 1; do teal down; done"],
)  # fmt: skip
def test_the_rule_for_diagnosis_sees_what_changes_something(changing: str) -> None:
    assert not all(reads(words) for words in shell.read(changing, VALUES).commands)


@pytest.mark.parametrize(("words", "places"), of_kind("teal"))
def test_a_teal_line_parses_against_the_real_command(words: Sequence[str], places: list[str]) -> None:
    assert teal_refuses(words) is None, places


@pytest.mark.parametrize(
    "line", ["nosuch", "status --nosuch", "rollback --to purple", "logs -n many", "cost", "keys", "keys revoke"]
)
def test_the_parser_refuses_what_teal_would(line: str) -> None:
    assert teal_refuses(line.split()) is not None


@pytest.mark.parametrize(("words", "places"), of_kind("aws"))
def test_an_aws_line_is_a_call_of_its_api(words: Sequence[str], places: list[str]) -> None:
    assert aws_refuses(words) is None, places


@pytest.mark.parametrize(
    "line",
    ["rds nosuch", "nosuch describe-x", "rds describe-db-instances --nosuch x", "acm describe-certificate",
     "rds modify-db-instance --db-instance-identifier x --apply-immediately now"],
)  # fmt: skip
def test_the_check_of_aws_lines_refuses_what_aws_would(line: str) -> None:
    assert aws_refuses(line.split()) is not None


@pytest.mark.parametrize(("words", "places"), of_kind("kubectl"))
def test_a_kubectl_line_looks_into_namespaces_that_there_are(words: Sequence[str], places: list[str]) -> None:
    named = [words[place + 1] for place, word in enumerate(words) if word in ("-n", "--namespace")]
    assert set(named) <= NAMESPACES_KNOWN, places
    assert verb(words) in {"get", "describe", "logs", "delete", "drain", "exec", "create", "port-forward"}


@pytest.mark.parametrize(("words", "places"), of_kind("curl"))
def test_an_address_is_a_route_of_the_service(words: Sequence[str], places: list[str]) -> None:
    routes = [
        route for module in (ask, documents, health, web, search) for route in module.router.routes if isinstance(route, Route)
    ]
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "--json" in words else "GET"
    for word in words:
        if word.startswith(VALUES["URL"]):
            path = word.removeprefix(VALUES["URL"]).partition("?")[0]
            assert any(route.path_regex.match(path) and method in (route.methods or ()) for route in routes), (
                method,
                path,
                places,
            )


@pytest.mark.parametrize("setting", ["cache.node_type", "database.instance_class"])
def test_a_size_that_waits_for_a_window_is_applied_at_once_and_its_verification_sees_the_truth(setting: str) -> None:
    """RDS and ElastiCache take a new size and change nothing until Sunday: the status says "available" all the time."""
    told = [page for page in PAGES if setting in page.code]
    assert told
    for page in told:
        verified = " ".join(block.text for block in page.blocks if block.for_aws and block.section == "Verification")
        assert re.search(r"apply[_-]immediately", (pages.FOLDER / f"{page.slug}.md").read_text(encoding="utf-8")), page.slug
        assert "PendingModifiedValues" in verified, page.slug


def test_no_page_names_a_file_that_is_not_there() -> None:
    root = Path(__file__).parents[2]
    for page in (*PAGES, pages.readme()):
        for code in page.code:
            if re.fullmatch(r"(app|teal|infra|tests|docs)/[\w/.-]*", code):
                assert (root / code).exists(), f"{page.slug}.md: {code}"
