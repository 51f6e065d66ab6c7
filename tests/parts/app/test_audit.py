"""What the audit log holds, and what it never does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.app.access.test_audit import lines


def test_lines_of_several_processes_stay_whole_and_none_is_lost(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app.access import audit; from app.settings import Settings\n"
        "audit.configure_audit(Settings(log_dir=Path(sys.argv[1])), sys.argv[2])\n"
        "for n in range(300): audit.write_audit_line('document-added', document_id=f'{n}', collection='c' * 64)"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), part]) for part in ("one", "two", "three")]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = sorted((line["part"], int(line["document_id"])) for line in lines(tmp_path))
    assert found == [(part, number) for part in ("one", "three", "two") for number in range(300)]
