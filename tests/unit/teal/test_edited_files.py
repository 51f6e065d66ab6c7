"""Files that people edit may begin with a byte order mark and have Windows' line ends: editors there write both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from app.backup.encryption import snapshot_key
from contract.stack_file import read_values
from infra.policy.guard import read_preview
from loadtests import questions, shapes, thresholds
from teal import runbook
from teal.aws.stack_file import put_back, read_stack_file, write_key
from teal.client.probe import read_golden_questions
from teal.drill.measure import read_limits
from teal.laptop.address import kept_admin_key
from teal.laptop.layout import Layout
from teal.laptop.parts.snapshots import key_problem
from teal.laptop.secrets import kept_secret
from teal.record.person import person_name
from teal.release.steering import resolve_secret

ROOT = Path(__file__).parents[3]
KEY = "teal_0123456789ab_abcdef"  # pragma: allowlist secret
AGE = str(pyrage.x25519.Identity.generate())
PAGE = """# A page

## Meaning

It means.

## Impact

None.

## Diagnosis

```bash name=look
teal status
```

## Mitigation

```bash name=mend
teal up
```

## Verification

```bash name=verify
teal status
```
"""
STACK = "config:\n  aws:region: eu-central-1\n  # ours\n  teal:environment: dev\n"


def _admin_key(file: Path) -> object:
    (layout := Layout(file.parent)).keys.mkdir()
    file.rename(layout.admin_key)
    return kept_admin_key(layout)


def _person(file: Path) -> object:
    file.rename(file.parent / ".gitconfig")
    return person_name({}, home=file.parent)


SHAPES = "shapes:\n  mine:\n    kind: users\n    stages:\n      - {seconds: 10, level: 5}\n"
READERS: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
    ("golden questions", '{"question": "When?", "words": ["June"]}\n\n{"question": "Who?"}\n', read_golden_questions),
    ("questions of a load", '{"question": "When?"}\n\n{"question": "Who?", "source": "x"}\n', questions.load_questions),
    ("shapes of load", SHAPES, lambda file: shapes.load_shapes(file)["mine"]),
    ("thresholds", (ROOT / "loadtests" / "thresholds.yaml").read_text(), thresholds.read_rules),
    ("a hook's secret", "s3cret\n", lambda file: resolve_secret(f"file:{file}", {}, "hook x")),
    ("the stack's admin key", f"{KEY}\n", _admin_key),
    ("a secret of the stack", "0123456789abcdef\n", lambda file: kept_secret(file, lambda: "made anew", "[0-9a-f]{16}")),
    ("the snapshots' key as status reads it", f"# a comment\n{AGE}\n", key_problem),
    ("the snapshots' key as it opens them", f"# a comment\n{AGE}\n", lambda file: str(snapshot_key(file, create=False))),
    ("git's own settings", "[user]\n\tname = A B\n\temail = a@b.test\n", _person),
    ("a plan of Pulumi", json.dumps({"steps": []}), read_preview),
    ("a stack's settings", STACK, read_values),
    ("targets of drills", "worker:\n  answered_seconds: 1\n  whole_seconds: 2\n", read_limits),
)


@pytest.mark.parametrize("form", ["windows", "mark", "ends"])
@pytest.mark.parametrize(("text", "read"), [row[1:] for row in READERS], ids=[row[0] for row in READERS])
def test_a_file_saved_by_an_editor_on_windows_reads_as_any_other(
    text: str, read: Callable[[Path], object], form: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / form).mkdir()
    plain, edited = tmp_path / "plain" / "file", tmp_path / form / "file"
    plain.write_bytes(text.encode())
    edited.write_bytes(
        (b"\xef\xbb\xbf" if form != "ends" else b"") + (text if form == "mark" else text.replace("\n", "\r\n")).encode()
    )
    wanted = read(plain)
    assert read(edited) == wanted


def test_a_page_of_an_editor_on_windows_gives_the_same_commands(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_bytes(b"\xef\xbb\xbf" + PAGE.replace("\n", "\r\n").encode())
    assert runbook.read_runbook("page", tmp_path) == runbook.parse_runbook(PAGE, "page")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stack_file_keeps_its_form_when_a_key_is_written_into_it(mark: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    before = (mark + STACK.replace("\n", end)).encode()
    path.write_bytes(before)
    file = read_stack_file(tmp_path, "dev")
    write_key(file, "awskms://alias/x", "AbC=")
    after = path.read_bytes().decode()
    assert after == mark + f"secretsprovider: awskms://alias/x{end}encryptedkey: AbC={end}" + STACK.replace("\n", end)
    assert read_stack_file(tmp_path, "dev").encrypted_key == "AbC="
    put_back(file, before.decode())
    assert path.read_bytes() == before
