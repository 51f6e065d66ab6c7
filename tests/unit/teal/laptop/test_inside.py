"""What is seen of a color's processes on the laptop."""

from __future__ import annotations

from pathlib import Path

from teal.laptop.inside import NEWEST_BYTES, LaptopInside


def test_a_text_is_found_in_the_logs_of_its_color_alone(tmp_path: Path) -> None:
    (tmp_path / "green-app-0.out.log").write_text("x" * NEWEST_BYTES + " the key")
    (tmp_path / "blue-app-0.out.log").write_text("another")
    inside = LaptopInside(lambda color: (), tmp_path)
    assert inside.logged("green", "the key")
    assert not inside.logged("blue", "the key")
