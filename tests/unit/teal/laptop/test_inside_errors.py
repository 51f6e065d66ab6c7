"""Which lines of a color's logs tell of errors."""

from __future__ import annotations

from pathlib import Path

from teal.laptop.inside import LaptopInside


def test_the_newest_errors_of_one_color_come_in_the_order_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "green-app-0.log").write_text(
        '{"time": "2026-11-29T03:00:02Z", "level": "error", "event": "second"}\n'
        '{"time": "2026-11-29T03:00:03Z", "level": "info", "event": "no error happened"}\n'
    )
    (tmp_path / "green-app-1.log").write_text('{"time": "2026-11-29T03:00:01Z", "level": "error", "event": "first"}\n')
    (tmp_path / "green-worker.out.log").write_text("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n")
    (tmp_path / "blue-app-0.log").write_text('{"level": "error", "event": "of the other color"}\n')
    inside = LaptopInside(lambda _color: [], tmp_path)
    found = inside.errors("green", 10)
    assert [line.split(": ", 1)[0] for line in found] == [
        "green-worker.out.log",
        "green-worker.out.log",
        "green-app-1.log",
        "green-app-0.log",
    ]
    assert "second" in found[-1]
    assert inside.errors("green", 1) == found[-1:]
    assert inside.errors("blue", 5) == ['blue-app-0.log: {"level": "error", "event": "of the other color"}']
