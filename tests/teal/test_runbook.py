"""The form of runbooks, and what happens when one of their blocks is run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from teal import runbook
from teal.errors import BadInput

PAGE = """# Something is away

## Meaning

It does not answer.

```bash
echo this is only shown
```

## Impact

None.

## Diagnosis

```bash name=look
echo "## Mitigation"
```

## Mitigation

1. Start it:

   ```bash name=start
   echo started
   ```

## Verification

```bash name=verify
test 1 = 1
```
"""


def test_a_page_is_its_title_and_its_named_blocks_in_order() -> None:
    book = runbook.parse(PAGE, "away")
    assert (book.slug, book.title) == ("away", "Something is away")
    assert [(block.name, block.section) for block in book.blocks.values()] == [
        ("look", "Diagnosis"),
        ("start", "Mitigation"),
        ("verify", "Verification"),
    ]
    assert book.blocks["start"].text == "echo started\n"  # without the list's indentation
    assert PAGE.splitlines()[book.blocks["verify"].line - 1] == "```bash name=verify"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# Something is away\n", "", "title"),
        ("## Impact", "## Effect", "they must be Meaning, Impact"),
        ("## Verification", "### Verification", "Its sections are"),
        ("bash name=start", "bash name=look", "Two blocks are named look"),
        ("bash name=start", "bash name=", "begins with"),
        ("bash name=start", "sh name=start", "begins with"),
        ("bash\necho this", "bash name=shown\necho this", "belong under Diagnosis"),
    ],
)
def test_another_form_is_refused_with_the_page_and_the_line(old: str, new: str, said: str) -> None:
    assert old in PAGE
    with pytest.raises(BadInput, match=said) as refused:
        runbook.parse(PAGE.replace(old, new, 1), "away")
    assert refused.value.where.startswith("runbooks/away.md:")


def test_a_missing_page_or_block_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no runbook away"):
        runbook.read("away", tmp_path)
    with pytest.raises(BadInput, match="no block stop; it has look, start, verify"):
        runbook.block(runbook.parse(PAGE, "away"), "stop")


def _run(text: str, tmp_path: Path, timeout_seconds: float = 20, **environ: str) -> runbook.Ran:
    return runbook.run(
        runbook.Block("b", "Mitigation", text, 1), {**os.environ, **environ}, tmp_path, timeout_seconds=timeout_seconds
    )


def test_a_block_sees_its_variables_and_stops_at_the_first_command_that_fails(tmp_path: Path) -> None:
    done = _run('echo "$NAME" > name\nfalse | cat\necho never', tmp_path, NAME="ann")
    assert (done.exit_code, done.said) == (1, "")
    assert (tmp_path / "name").read_text() == "ann\n"
    unset = _run('echo "$NOT_SET_ANYWHERE"\necho never', tmp_path)
    assert unset.exit_code != 0
    assert "NOT_SET_ANYWHERE" in unset.said


def test_a_block_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    done = _run('sleep 60 & echo "$!"\nwait', tmp_path, timeout_seconds=0.5)
    assert done.exit_code is None
    assert time.monotonic() - began < 10
    deadline = began + 20
    while psutil.pid_exists(child := int(done.said)) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
