"""Small files that are made to become large, deep or slow when they are read, one or more for each format."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Final

MB: Final = 1_000_000
_WORDS: Final = " ".join(f"w{number % 977}x" for number in range(2_000))
_RELATIONS: Final = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES: Final = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>'
)
# Ten entities, each ten times the one before: a gigabyte of words in a kilobyte. And one that is a file of the machine.
LAUGHS: Final = (
    '<!DOCTYPE x [<!ENTITY a0 "words words ">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9)) + "]>"
)
OUTSIDE: Final = '<!DOCTYPE x [<!ENTITY a8 SYSTEM "file:///etc/passwd">]>'


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return made.getvalue()


def _related(kind: str, target: str, others: str = "") -> str:
    one = f'<Relationship Id="rId1" Type="{_OFFICE}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{_RELATIONS}">{one}{others}</Relationships>'


def docx(text: str, prolog: str = "") -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = f'{prolog}<w:document xmlns:w="{space}"><w:body>{text}</w:body></w:document>'
    return archive({"[Content_Types].xml": _TYPES, "_rels/.rels": _related("officeDocument", "word/document.xml"), "word/document.xml": document})  # fmt: skip


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def odt(text: str, prolog: str = "") -> bytes:
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'{prolog}<office:document-content xmlns:office="{space}:office:1.0" xmlns:text="{space}:text:1.0"><office:body>'
        f"<office:text>{text}</office:text></office:body></office:document-content>"
    )
    return archive({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content})


def epub(page: str) -> bytes:
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="c.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T'
        '</dc:title></metadata><manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
        '<itemref idref="a"/></spine></package>'
    )
    return archive({"mimetype": "application/epub+zip", "META-INF/container.xml": container, "c.opf": package, "a.xhtml": page})


def xlsx(rows: str, *, prolog: str = "", shared: str = "") -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    strings = f'<Relationship Id="rId2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    return archive({
        "[Content_Types].xml": _TYPES, "_rels/.rels": _related("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{space}" xmlns:r="{_OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _related("worksheet", "worksheets/sheet1.xml", strings),
        "xl/worksheets/sheet1.xml": f'{prolog}<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{space}">{shared}</sst>',
    })  # fmt: skip


def pptx(slide: str, *, prolog: str = "", count: int = 1) -> bytes:
    space, drawing = (
        "http://schemas.openxmlformats.org/presentationml/2006/main",
        "http://schemas.openxmlformats.org/drawingml/2006/main",
    )
    listed = "".join(f'<p:sldId id="{256 + n}" r:id="rId{n}"/>' for n in range(1, count + 1))
    others = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/slide" Target="slides/slide{n}.xml"/>' for n in range(2, count + 1)
    )
    page = (
        f'{prolog}<p:sld xmlns:p="{space}" xmlns:a="{drawing}"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>{slide}</a:t></a:r></a:p>'
        "</p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    )
    return archive({
        "[Content_Types].xml": _TYPES, "_rels/.rels": _related("officeDocument", "ppt/presentation.xml"),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{space}" xmlns:r="{_OFFICE}"><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>',
        "ppt/_rels/presentation.xml.rels": _related("slide", "slides/slide1.xml", others),
        **{f"ppt/slides/slide{n}.xml": page for n in range(1, count + 1)},
    })  # fmt: skip


def pdf(objects: list[bytes]) -> bytes:
    made, places = b"%PDF-1.7\n", list[int]()
    for number, one in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return made + head + table + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(made))


def stream(content: bytes, says: bytes = b"") -> bytes:
    packed = zlib.compress(content, 9)
    return b"<<%s/Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (says, len(packed), packed)


_CATALOG, _FONT = b"<</Type/Catalog/Pages 2 0 R>>", b"/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
_SHOWN: Final = b"BT /F1 12 Tf (words) Tj ET\n"


def _pages(kids: int, count: int) -> bytes:
    return b"<</Type/Pages/Kids[%s]/Count %d>>" % (b"3 0 R " * kids, count)


def _page(resources: bytes = b"") -> bytes:
    return b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 400]/Contents 4 0 R/Resources<<%s%s>>>>" % (_FONT, resources)


def page(content: bytes, resources: bytes = b"", *more: bytes) -> bytes:
    return pdf([_CATALOG, _pages(1, 1), _page(resources), content, *more])


def _form(content: bytes, resources: bytes = b"") -> bytes:
    return stream(content, b"/Type/XObject/Subtype/Form/BBox[0 0 1 1]/Resources<<%s>>" % resources)


def _forms_of_forms() -> bytes:
    """Ten forms, each drawing the next ten times: ten to the power of ten words."""
    forms = [_form(b"/X0 Do " * 10, b"/XObject<</X0 %d 0 R>>" % (number + 6)) for number in range(10)]
    return page(stream(b"/X0 Do"), b"/XObject<</X0 5 0 R>>", *forms, _form(_SHOWN, _FONT))


def _other_charset() -> bytes:
    return b"Content-Type: text/plain; charset=zlib\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(
        zlib.compress(bytes(300 * MB), 9)
    )


def eml(head: bytes, body: bytes = b"x") -> bytes:
    return b"MIME-Version: 1.0\n" + head + b"\n\n" + body


def _nested_mail(depth: int) -> bytes:
    return (
        b"MIME-Version: 1.0\n"
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
        + b"\nx"
    )


Bomb = Callable[[], bytes]
# By suffix and name. Each is made when its test runs.
BOMBS: Final[Mapping[str, Bomb]] = {
    "docx one huge part": lambda: docx(paragraph("a" * 120 * MB)),
    "docx more than any document unpacks to": lambda: archive({f"word/{n}": bytes(100 * MB) for n in range(5)}),
    "docx more parts than any document": lambda: archive({f"word/{n}": b"" for n in range(20_001)}),
    "docx a small file, a long text": lambda: docx(paragraph(_WORDS) * 2_000),
    "docx many paragraphs": lambda: docx(paragraph("w") * 2_000_000),
    "docx depth": lambda: docx("<w:p>" * 200_000),
    "docx tables in tables": lambda: docx("<w:tbl><w:tr><w:tc>" * 50_000 + paragraph("x") + "</w:tc></w:tr></w:tbl>" * 50_000),
    "docx entities": lambda: docx(paragraph("x &a8;"), LAUGHS),
    "docx a file of the machine": lambda: docx(paragraph("x &a8;"), OUTSIDE),
    "odt entities": lambda: odt("<text:p>x &a8;</text:p>", LAUGHS),
    "odt a file of the machine": lambda: odt("<text:p>x &a8;</text:p>", OUTSIDE),
    "odt one huge part": lambda: odt(f"<text:p>{'a' * 120 * MB}</text:p>"),
    "odt a small file, a long text": lambda: odt(f"<text:p>{_WORDS}</text:p>" * 2_000),
    "odt depth": lambda: odt("<text:span>" * 300_000),
    "odt counted spaces": lambda: odt('<text:p>a<text:s text:c="2000000000"/></text:p>'),
    "epub entities": lambda: epub(f"{LAUGHS}<html><body><p>x &a8;</p></body></html>"),
    "epub a file of the machine": lambda: epub(f"{OUTSIDE}<html><body><p>x &a8;</p></body></html>"),
    "epub one huge part": lambda: epub(f"<html><body><p>{'a' * 120 * MB}</p></body></html>"),
    "epub depth": lambda: epub("<html><body>" + "<div>" * MB + "x"),
    "xlsx entities": lambda: xlsx('<row r="1"><c r="A1" t="inlineStr"><is><t>x &a8;</t></is></c></row>', prolog=LAUGHS),
    "xlsx a far cell": lambda: xlsx('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    "xlsx many rows": lambda: xlsx("<row><c><v>1</v></c></row>" * 5 * MB),
    "xlsx one string in every cell": lambda: xlsx("<row>" + '<c t="s"><v>0</v></c>' * 16_000 + "</row>", shared=f"<si><t>{'a' * MB}</t></si>"),
    "pptx entities": lambda: pptx("x &a8;", prolog=LAUGHS),
    "pptx a file of the machine": lambda: pptx("x &a8;", prolog=OUTSIDE),
    "pptx many slides": lambda: pptx("a" * 20_000, count=4_000),
    "rtf depth": lambda: b"{\\rtf1 " + b"{" * 5 * MB + b"x",
    "rtf a length that is none": lambda: b"{\\rtf1 \\bin2000000000 x words}",
    "rtf many orders": lambda: b"{\\rtf1 " + b"\\par\\u-1?" * MB + b"}",
    "html depth": lambda: b"<div>" * 1_900_000 + b"x",
    "html tables in tables": lambda: b"<table><tr><td>" * 600_000 + b"x",
    "html many attributes": lambda: b"<p " + b" ".join(b"a%d=1" % n for n in range(900_000)) + b">x</p>",
    "html lists in lists": lambda: b"<ul><li>" * MB + b"x",
    "html wide cells": lambda: b"<table>" + b"<tr><td colspan=65534 rowspan=65534>x</td></tr>" * 1_000 + b"</table>",
    "html unclosed letters": lambda: b"<b><i><p>" * 300_000 + b"x",
    "csv width": lambda: b",".join([b"a"] * 4_900_000) + b"\n" + b"1\n" * 50_000,
    "csv short rows under a wide head": lambda: b",".join([b"a"] * 20_000) + b"\n" + b"1\n" * 4 * MB,
    "csv a field without an end": lambda: b'"' * 9_999_999,
    "json depth": lambda: b"[" * 9_900_000,
    "json closed depth": lambda: b"[" * 100_000 + b"1" + b"]" * 100_000,
    "json one long key, many values": lambda: b'{"' + b"k" * 500_000 + b'":[' + b'{"a":1},' * 300_000 + b"1]}",
    "json a long number": lambda: b"9" * 9 * MB,
    "ipynb many outputs": lambda: b'{"cells":[{"cell_type":"code","source":"x","outputs":[' + b'{"text":"y"},' * 300_000 + b"{}]}]}",
    "ipynb depth": lambda: b'{"cells":' + b"[" * 900_000,
    "md depth": lambda: b"> " * 4 * MB + b"x",
    "md lists in lists": lambda: b"".join(b" " * n + b"- a\n" for n in range(4_000)),
    "rst rules": lambda: b"x\n" + b"=\n" * 4 * MB,
    "txt one line": lambda: b"a " * 4_900_000,
    "eml many parts": lambda: eml(b"Content-Type: multipart/mixed; boundary=b", b"--b\n\nx\n" * MB),
    "eml parts in parts": lambda: _nested_mail(3_000),
    "eml mails in mails": lambda: b"Content-Type: message/rfc822\n\n" * 300_000 + b"x",
    "eml a long subject": lambda: eml(b"Subject: " + b"=?utf-8?q?a?= " * 600_000),
    "eml many receivers": lambda: eml(b"To: " + b"a@b, " * 1_500_000),
    "eml comments in comments": lambda: eml(b"From: " + b"(" * 5 * MB),
    "eml a charset that unpacks": _other_charset,
    "eml html": lambda: eml(b"Content-Type: text/html", b"<div>" * 1_900_000),
    "pdf a huge stream": lambda: page(stream(_SHOWN + b" " * 200 * MB)),
    "pdf a small file, a long text": lambda: page(stream(b"BT /F1 12 Tf " + b"(words) Tj " * 10 * MB + b"ET")),
    "pdf a million pages": lambda: pdf([_CATALOG, _pages(MB, MB), _page(), stream(_SHOWN)]),
    "pdf a count that is none": lambda: pdf([_CATALOG, _pages(1, 2_000_000_000), _page(), stream(_SHOWN)]),
    "pdf pages in a circle": lambda: pdf([_CATALOG, b"<</Type/Pages/Kids[2 0 R]/Count 1>>"]),
    "pdf forms of forms": _forms_of_forms,
    "pdf a form of itself": lambda: page(stream(b"/X0 Do"), b"/XObject<</X0 5 0 R>>", _form(b"/X0 Do /X0 Do " + _SHOWN, _FONT + b"/XObject<</X0 5 0 R>>")),
    "pdf arrays in arrays": lambda: page(stream(b"[" * 5 * MB)),
    "pdf dictionaries in dictionaries": lambda: pdf([_CATALOG, _pages(1, 1), b"<</A" * MB]),
    "pdf a stream of objects": lambda: pdf([_CATALOG, _pages(1, 1), _page(), stream(_SHOWN), stream(b"0 0 " * 50 * MB, b"/Type/ObjStm/N 50000000/First 200000000")]),
    "pdf tables in a circle": lambda: pdf([_CATALOG, _pages(1, 1), _page(), stream(_SHOWN)]).replace(b"/Root 1", b"/Prev 9/Root 1"),
}  # fmt: skip
# What these same makers give when nothing is wrong: that a bomb of a format reaches its reader.
SOUND: Final[Mapping[str, Bomb]] = {
    "docx": lambda: docx(paragraph("words")), "odt": lambda: odt("<text:p>words</text:p>"), "epub": lambda: epub("<html><body><p>words</p></body></html>"),
    "xlsx": lambda: xlsx('<row r="1"><c r="A1" t="inlineStr"><is><t>words</t></is></c></row>'), "pptx": lambda: pptx("words"),
    "pdf": lambda: page(stream(_SHOWN)), "eml": lambda: eml(b"Content-Type: text/plain", b"words"), "rtf": lambda: b"{\\rtf1 words}",
    "ipynb": lambda: b'{"cells":[{"cell_type":"markdown","source":"words"}]}', "html": lambda: b"<p>words", "csv": lambda: b"words,2\n",
    "json": lambda: b'["words"]', "md": lambda: b"words", "rst": lambda: b"words", "txt": lambda: b"words",
}  # fmt: skip
