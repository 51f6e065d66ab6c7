"""What is read of real files of each format: the files that earlier readers failed on, and small ones made here."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from app.errors import DocumentRejected, UnsupportedMedia
from app.text.apart import READERS
from app.text.document import ChunkLimits, CutDocument, ParsedDocument
from app.text.formats import FORMATS
from app.text.media_type import detect_media_type
from app.text.parse import parse

QUALITY = Path(__file__).parents[2] / "quality"
FOLDERS = (QUALITY / "files", QUALITY / "fresh" / "third" / "files")
CUTTING = ChunkLimits(180, 30)


def _bytes(name: str) -> bytes:
    return next(folder / name for folder in FOLDERS if (folder / name).exists()).read_bytes()


def read(name: str) -> ParsedDocument:
    body = _bytes(name)
    return parse(body, detect_media_type(name, None, body[:4096]), name)


def cut(name: str) -> CutDocument:
    body = _bytes(name)
    return READERS.read(body, detect_media_type(name, None, body[:4096]), name, CUTTING)


def test_every_format_is_named_once() -> None:
    suffixes = [suffix for one in FORMATS for suffix in one.suffixes]
    types = [one.media_type for one in FORMATS]
    assert len(set(suffixes)) == len(suffixes)
    assert len(set(types)) == len(types)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p01_ligatures.pdf", "chief officer Bellweather"),
        ("p01_ligatures.pdf", "flux coefficient of the Zarnow pump is 7.25"),
        ("p07b_ownerpw.pdf", "keeps its temperature at nineteen degrees"),
        ("t05_cp1252.txt", "The tenant’s deposit is €850 – payable “in advance”"),
        ("t04b_utf16le_nobom.txt", "The harbour master of Sele keeps the log"),
        ("c05.eml", "The gate code of Hälsing changes on Friday at noon."),
        ("d01.docx", "Breakfast at Marden ends at 10:30."),
        ("d01.docx", "| Tower | 140 |"),
        ("d02.xlsx", "| Item | Shelf | Count |\n| --- | --- | --- |\n| Clamp | B4 | 310 |"),
        ("boat_form.pdf", "Name of the boat: Silver Lapwing\nLength overall: 8.35 m\nOwner: Edda Thorsby"),
        ("invoice_4471.pdf", "Invoice number: 2025-0318-4471\nInvoice date: 18 March 2025\nDue date: 17 April 2025"),
        (
            "invoice_4471.pdf",
            "| Description | Qty | Unit price | Amount |\n| --- | --- | --- | --- |\n| Rebinding, quarter leather | 12 | 38.50 | 462.00 |",
        ),
        ("sauna_booking.pdf", "| Group | Weekday | Weekend |\n| --- | --- | --- |\n| Members | €24 | €31 |"),
        ("carillon.pdf", "Old Griffith, weighs 1,276 kilograms and was cast by the\nfounder Efraim Coffyn in 1683."),
        (
            "kiln.pdf",
            "pots, since glazes flow and pots that touch fuse. Stilts\nof different heights affect how flames circulate; an\nefficient stack",
        ),
        ("kiln.pdf", "| Bisque | 100 C/h | 1000 C |"),
        (
            "fleet.xlsx",
            "spring 2025\n\n| Plate | Driver | Next inspection | Kilometres | Leasing |\n| --- | --- | --- | --- | --- |\n| KX-204 | Amara Diallo | 2025-09-14 |",
        ),
        ("evacuation.pptx", "Notes of slide 1: The last drill took six minutes and forty seconds."),
        ("h05_table.html", "| Zone | Single | Day |\n| --- | --- | --- |\n| Harbour | 2.40 | 6.10 |"),
        ("h04_boiler.html", "Water the Velm orchid every nine days"),
    ],
)
def test_the_words_of_a_file_are_read(name: str, words: str) -> None:
    assert words in read(name).text


@pytest.mark.parametrize(
    ("name", "words"),
    [("fleet.xlsx", "Gregor"), ("sauna_booking.pdf", "file:///"), ("sauna_booking.pdf", "8:46 PM"), ("carillon.pdf", "| ")],
)
def test_what_a_file_hides_or_a_browser_prints_is_not_its_text(name: str, words: str) -> None:
    assert words not in read(name).text


def test_boilerplate_of_a_page_is_not_its_text() -> None:
    text = read("h04_boiler.html").text
    assert not any(word in text for word in ("cookie", "Sign in", "Related articles", "Bob", "Copyright"))


def test_hidden_text_is_not_read_and_what_a_picture_shows_is() -> None:
    page = (
        b'<p>Sho\xc2\xadwn <span hidden>not this</span><i style="display:none">nor this</i><img src="a.png" alt="A red gate"></p>'
    )
    assert parse(page, "text/html", None).text == "Shown A red gate"


def test_running_heads_and_page_numbers_are_not_text() -> None:
    text = read("p06_headers.pdf").text
    assert "ORRIN MILL HANDBOOK" not in text
    assert "printed copies" not in text
    assert text.count("Station") == 36


def test_a_page_without_text_is_a_warning() -> None:
    assert read("p12_mixed_scan.pdf").warnings == ("Page 2 has no text (of 2 pages): a scan needs text recognition first.",)


def test_a_scan_is_refused() -> None:
    with pytest.raises(DocumentRejected, match="a scan needs text recognition"):
        read("p11_scan.pdf")


def test_front_matter_is_metadata() -> None:
    found = read("m03_frontmatter.md")
    assert (found.title, found.text) == ("Runbook of the Ibis queue", "# Drain the queue\n\nThe Ibis queue drains in 35 minutes.")


def test_a_row_of_a_long_table_has_the_head_of_the_table() -> None:
    (row,) = [one for one in cut("m01_longtable.md").chunks if "HP-013" in one.text and "HP-014" in one.text][:1]
    assert "| HP-013 | part n13 | 23 | 1300 |" in row.text
    assert "| Part number | Name | Torque (Nm) | Interval (h) |" in row.whole


def test_a_section_names_what_it_is_about() -> None:
    (passage,) = [one for one in cut("m05_longsections.md").chunks if "48 months" in one.text]
    assert "# Machine Cedar" in passage.whole
    assert "Dogwood" not in passage.whole


def test_code_keeps_its_indentation() -> None:
    chunks = cut("m02_code.md").chunks
    assert "    # second: copy\n    for name in FILES:\n        copy(name, host)" in "\n".join(one.text for one in chunks)


def test_passages_of_a_pdf_know_their_page() -> None:
    assert {one.page for one in cut("p06_headers.pdf").chunks} > {1}


def test_a_notebook_is_its_prose_code_and_output() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Tides\n", "The tide of Sele turns at noon."]},
        {"cell_type": "code", "source": "print(42)", "outputs": [{"text": ["42\n"]}, {"data": {"image/png": "iVBORw0KGgo="}}]},
    ]
    found = parse(json.dumps({"cells": cells, "nbformat": 4}).encode(), "application/x-ipynb+json", "a.ipynb")
    assert found.title == "Tides"
    assert found.text == "# Tides\nThe tide of Sele turns at noon.\n\n```\nprint(42)\n```\n\n```\n42\n\n```"


def test_json_is_lines_of_keys_and_values() -> None:
    body = json.dumps({"title": "Pumps", "pumps": [{"name": "Minto", "litres": 17}, {"name": "Tavy", "litres": 77}]}).encode()
    found = parse(body, "application/json", "a.json")
    assert found.title == "Pumps"
    assert found.text.split("\n\n")[1:] == ["pumps.name: Minto\npumps.litres: 17", "pumps.name: Tavy\npumps.litres: 77"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_separated_values_are_a_table(delimiter: str) -> None:
    body = delimiter.join(("Zone", "Price")) + "\n" + delimiter.join(('"Harbour, old"', "6.10")) + "\n"
    assert parse(body.encode(), "text/csv", "a.csv").text == "| Zone | Price |\n| --- | --- |\n| Harbour, old | 6.10 |"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            '"Name","Remark"\n"Okafor, C.","keeps the box;\nsigns cheques"\n"Bright, A.","says ""no"""\n',
            '| Name | Remark |\n| --- | --- |\n| Okafor, C. | keeps the box; signs cheques |\n| Bright, A. | says "no" |',
        ),
        ("# Toll station\nvehicle|day\ncar|31.00\n", "Toll station\n\n| vehicle | day |\n| --- | --- |\n| car | 31.00 |"),
        ("sep=;\nWein;Preis\nRiesling;5,80\n", "| Wein | Preis |\n| --- | --- |\n| Riesling | 5,80 |"),
        ("a,b\n1,2\nSource: the town;\n", "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nSource: the town;"),
    ],
)  # fmt: skip
def test_marks_in_fields_and_lines_around_a_table_of_separated_values_do_not_break_it(body: str, text: str) -> None:
    assert parse(body.encode(), "text/csv", "a.csv").text == text


def test_a_definition_is_on_a_line_with_its_term() -> None:
    page = b"<html><body><dl><dt>Heddle</dt><dd>A looped cord.</dd><dt><b>Reed</b><dd><p>The comb.</p></dl></body></html>"
    assert parse(page, "text/html", "a.html").text == "Heddle: A looped cord.\n\nReed: The comb."


def test_a_definition_of_several_sentences_stays_below_its_term() -> None:
    page = b"<html><body><dl><dt>idle_seconds</dt><dd>A silent connection is closed after this time. Default: 75.</dd></dl></body></html>"
    assert parse(page, "text/html", "a.html").text.split("\n")[0] == "idle_seconds"


def test_rich_text_is_decoded() -> None:
    body = rb"{\rtf1\ansi The reserve tank of {\b Tavy} holds 77 litres.\par Gr\'fc\'dfe.}"
    found = parse(body, detect_media_type("c06.rtf", None, body), "c06.rtf")
    assert "The reserve tank of Tavy holds 77 litres." in found.text
    assert "Grüße" in found.text


def test_a_mail_that_is_a_page_is_read_and_its_attachments_named() -> None:
    body = (
        b"Subject: =?utf-8?q?L=C3=B6schung?=\r\nFrom: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"PHA+VGhlIHZhbHZlIGlzIHNodXQuPC9wPg==\r\n--b\r\nContent-Type: application/pdf\r\n"
        b"Content-Disposition: attachment; filename=plan.pdf\r\n\r\nx\r\n--b--\r\n"
    )
    found = parse(body, "message/rfc822", "a.eml")
    assert found.title == "Löschung"
    assert found.text.endswith("The valve is shut.")
    assert "plan.pdf" in found.warnings[0]


WORDS = {
    "cp1251": "Срок возврата составляет тридцать дней. Склады открываются в девять утра.",
    "koi8-r": "Срок возврата составляет тридцать дней.",
    "euc_jp": "返品期限は三十日です。返品には領収書が必要です。",
    "shift_jis": "返品期限は三十日です。返品には領収書が必要です。",
    "gb18030": "本公司仓库的退货期限是三十天。客户必须出示发票才能退货。",
    "euc_kr": "반품 기한은 삼십일입니다. 창고는 아홉 시에 엽니다.",
    "cp1252": "Die Prüfung kostet 850 € – und „das“ ist günstig.",
    "utf-16-le": "The log is in the blue cabinet.",
    "utf-16-be": "The log is in the blue cabinet.",
}


@pytest.mark.parametrize("encoding", WORDS)
def test_an_encoding_is_recognised_or_the_file_is_refused(encoding: str) -> None:
    try:
        said = parse(WORDS[encoding].encode(encoding), "text/plain", "a.txt").text
    except DocumentRejected as rejection:
        said = rejection.detail
    assert said == WORDS[encoding] or "save it as UTF-8" in said


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "euc_jp", "shift_jis", "cp1252"])
def test_usual_encodings_are_recognised(encoding: str) -> None:
    assert parse(WORDS[encoding].encode(encoding), "text/plain", "a.txt").text == WORDS[encoding]


def test_one_bad_byte_leaves_the_rest_of_utf8_as_it_is() -> None:
    body = "Grüße aus Königsberg für Käthe".encode() + b"\xff" + " und Jürgen".encode()
    assert parse(body, "text/plain", "a.txt").text == "Grüße aus Königsberg für Käthe\ufffd und Jürgen"


def test_terminal_escapes_are_not_text() -> None:
    assert parse(b"One \x1b]52;c;eA==\x07 two", "text/plain", "a.txt").text == "One ]52;c;eA== two"


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return buffer.getvalue()


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + number, (b"&%c;" % (97 + number)) * 10) for number in range(9)
)
DOCUMENT = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>%s</w:t></w:r></w:p>'
    b"</w:body></w:document>"
)
BOMBS = {
    "zip.docx": {"[Content_Types].xml": b"<Types/>", "word/document.xml": b" " * 450_000_000},
    "entities.docx": {"[Content_Types].xml": b"<Types/>", "word/document.xml": LAUGHS + b"]>" + DOCUMENT % b"&j;"},
    "entities.odt": {"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": LAUGHS + b"]><office>&j;</office>"},
    "entities.xlsx": {"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": LAUGHS + b"]><workbook>&j;</workbook>"},
    "many.epub": {f"part{number}": b"" for number in range(25_000)},
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_archive_that_swells_is_refused_within_the_limits(name: str) -> None:
    body = archive(BOMBS[name])
    with pytest.raises(DocumentRejected):
        READERS.read(body, detect_media_type(name, None, body[:4096]), name, CUTTING)


def test_an_archive_of_no_known_kind_says_what_can_be_read() -> None:
    with pytest.raises(UnsupportedMedia, match=r"unpack it.*Word"):
        detect_media_type("a.zip", "application/zip", archive({"a.txt": b"words"}))


def test_a_book_with_a_folder_called_word_is_a_book() -> None:
    book = archive({"mimetype": b"application/epub+zip", "word/chapter.xhtml": b"<p>words</p>"}, zipfile.ZIP_STORED)
    assert detect_media_type("a.zip", None, book) == "application/epub+zip"
