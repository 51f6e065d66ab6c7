"""Tables of web pages: every value keeps the heads that it stands under."""

from __future__ import annotations

from app.text.formats.html_tables import prepare_tables
from app.text.parse import parse

_SPANS = """<table><thead><tr><th rowspan=2>Port</th><th colspan=2>Weekdays</th><th colspan="2">Sundays</th></tr>
<tr><th>First boat</th><th>Last boat</th><th>First boat</th><th>Last boat</th></tr></thead><tbody>
<tr><td rowspan=2>Dunmore</td><td>06:40</td><td>21:15</td><td>09:00</td><td>18:30</td></tr>
<tr><td>07:25</td><td>20:50</td><td>09:45</td><td>17:55</td></tr>
<tr><td>Kirk Bay</td><td>08:05</td><td>19:30</td><td colspan=2>no service</td></tr></tbody></table>"""


def _read(html: str) -> str:
    return parse(f"<html><body>{html}</body></html>".encode(), "text/html", "a.html").text


def test_a_cell_that_spans_is_said_in_each_row_and_column() -> None:
    assert _read(_SPANS).split("\n") == [
        "| Port | Weekdays First boat | Weekdays Last boat | Sundays First boat | Sundays Last boat |",
        "| --- | --- | --- | --- | --- |",
        "| Dunmore | 06:40 | 21:15 | 09:00 | 18:30 |",
        "| Dunmore | 07:25 | 20:50 | 09:45 | 17:55 |",
        "| Kirk Bay | 08:05 | 19:30 | no service | no service |",
    ]


def test_a_title_over_all_columns_is_no_head() -> None:
    text = _read(
        "<table><tr><th colspan=2>Prices 2025</th></tr><tr><th>Room</th><th>Price</th></tr><tr><td>Anvil</td><td>52</td></tr></table>"
    )
    assert text == "Prices 2025\n\n| Room | Price |\n| --- | --- |\n| Anvil | 52 |"


def test_a_table_that_arranges_the_page_is_read_as_paragraphs() -> None:
    inner = "<table><tr><td>Room<td>Price<tr><td>Anvil<td>52</table>"
    page = f"<table><tr><td>Home<td>The Old Smithy<p>Breakfast is at eight.{inner}<p>Dogs stay for 5.</td></tr></table>"
    text = _read(page)
    assert text.split("\n\n")[-3:] == [
        "Breakfast is at eight.",
        "| Room | Price |\n| --- | --- |\n| Anvil | 52 |",
        "Dogs stay for 5.",
    ]


def test_a_plain_table_is_left_as_it_is() -> None:
    page = "<table><tr><th>Room</th></tr><tr><td>Anvil</td></tr></table><!-- <table> -->"
    assert prepare_tables(page) == page.removesuffix("<!-- <table> -->")


def test_a_cell_that_would_fill_the_memory_is_not_repeated() -> None:
    page = "<table><tr><td colspan=60000 rowspan=60000>x</td></tr></table>"
    assert prepare_tables(page) == page
