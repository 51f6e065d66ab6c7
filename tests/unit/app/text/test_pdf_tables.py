"""Tables of PDF pages, from where words stand. Letters are 5 wide here, and a line is 12 high."""

from __future__ import annotations

from collections.abc import Iterator

from app.text.formats.pdf_tables import LineSpan, PdfWord, find_tables, may_have_table

_LETTER = 5.0


def _line(number: int, baseline: float, *cells: tuple[float, str], width: float = _LETTER) -> Iterator[PdfWord]:
    """The words of one line of the file; each cell is where it begins and what it says."""
    place = 0
    for left, text in cells:
        for word in text.split():
            # Letters of proportional type are not equally wide.
            right = left + len(word) * width * (1 + 0.15 * (len(word) % 3 - 1))
            yield PdfWord(word, number, place, left, right, baseline)
            left, place = right + 0.5 * width, place + len(word) + 1


def _page(*lines: tuple[float, tuple[tuple[float, str], ...]]) -> list[PdfWord]:
    return [word for number, (baseline, cells) in enumerate(lines) for word in _line(number, baseline, *cells)]


def test_columns_are_a_table_with_its_first_row_as_head() -> None:
    page = _page(
        (700, ((60, "Day"), (200, "Pressure"), (340, "Stoker"))),
        (680, ((60, "Monday"), (200, "6.2 bar"), (340, "Ivo"))),
        (660, ((60, "Tuesday"), (200, "5.9 bar"), (340, "Marta"))),
    )
    assert [table.text for table in find_tables(page)] == [
        "| Day | Pressure | Stoker |\n| --- | --- | --- |\n| Monday | 6.2 bar | Ivo |\n| Tuesday | 5.9 bar | Marta |"
    ]


def test_labels_find_their_values_wherever_the_file_draws_them() -> None:
    values = [(700 - 15 * place, ((180.0, text),)) for place, text in enumerate(("4471", "18 March 2025", "17 April 2025"))]
    labels = [(700 - 15 * place, ((60.0, text),)) for place, text in enumerate(("Number", "Date:", "Due"))]
    assert [table.text for table in find_tables(_page(*values, *labels))] == [
        "Number: 4471\nDate: 18 March 2025\nDue: 17 April 2025"
    ]


def test_two_columns_of_prose_are_no_table() -> None:
    left = [(700 - 12 * row, ((60.0, "taken down in the first week"),)) for row in range(8)]
    right = [(700 - 12 * row, ((320.0, "seven and visitors may watch"),)) for row in range(8)]
    assert find_tables(_page(*left, *right)) == []


def test_items_with_their_marks_are_no_table() -> None:
    page = _page(*((700 - 14 * row, ((60.0, f"{row + 1}."), (90.0, "Wait until evening"))) for row in range(5)))
    assert find_tables(page) == []


def test_a_table_ends_before_the_first_cell_of_several_lines() -> None:
    head = (700, ((60, "Alarm"), (160, "Code"), (260, "Meaning")))
    whole = [(680 - 20 * row, ((60, "Sync"), (160, f"A-{row}"), (260, "no sync"))) for row in range(2)]
    wrapped = (
        (640, ((60, "Scanner"), (260, "the scanner"))),
        (634, ((160, "A-12"),)),
        (628, ((60, "belt"), (260, "has stalled"))),
    )
    (found,) = find_tables(_page(head, *whole, *wrapped))
    assert found.text.split("\n")[2:] == ["| Sync | A-0 | no sync |", "| Sync | A-1 | no sync |"]
    below = [(baseline - 70, cells) for baseline, cells in whole]
    assert find_tables(_page(head, *wrapped, *below)) == []  # who stands in which row is not known here


def test_where_words_stand_is_not_asked_on_a_page_of_prose() -> None:
    prose = [LineSpan(60, 60 + 90 * _LETTER, 700 - 12 * row, 90) for row in range(40)]
    table = [LineSpan(60, 400, 200 - 12 * row, 20) for row in range(3)]
    assert not may_have_table(prose)
    assert may_have_table([*prose, *table])
