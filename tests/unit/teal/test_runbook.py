"""The form of runbooks, and what happens when one of their blocks is run."""

from __future__ import annotations

from pathlib import Path

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
    book = runbook.parse_runbook(PAGE, "away")
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
        runbook.parse_runbook(PAGE.replace(old, new, 1), "away")
    assert refused.value.where.startswith("runbooks/away.md:")


def test_a_missing_page_or_block_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no runbook away"):
        runbook.read_runbook("away", tmp_path)
    with pytest.raises(BadInput, match="no block stop; it has look, start, verify"):
        runbook.find_block(runbook.parse_runbook(PAGE, "away"), "stop")
