"""Each failing input of `cases.jsonl` that is about reading or answering, asked of the service itself. The others are named with their tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests
from app.settings import Settings
from tests.quality import service
from tests.quality.__main__ import MODELS
from tests.quality.questions import DOCUMENTS, holds
from tests.quality.scripted_model import ScriptedModel, scripted_model
from tests.quality.service import Running
from tests.services.required import require

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
FILES = HERE / "files"
CASES = {case["id"]: case for case in map(json.loads, (HERE / "cases.jsonl").read_text(encoding="utf-8").splitlines())}
# Cases that need something else than a question, and where their tests are.
ELSEWHERE = {
    "pdf-spaces": "tests/quality/test_pdf_words.py",
    "folder-skips": "tests/unit/teal/client/test_ingest.py",
    "reupload": "tests/parts/app/test_api.py",
    "openai-api": "tests/parts/app/test_api.py",
    "upload-metadata": "tests/parts/app/test_api.py",
    "no-passages": "tests/parts/app/test_api.py",
    "followup": "tests/unit/app/answering/test_follow_up.py",
    "page-reload": "tests/browser/test_ask.py",
    "page-folder-drop": "tests/browser/test_documents.py",
}


def settings(folder: Path, **more: object) -> Settings:
    values = {"state_dir": folder, "model_dir": MODELS, "auth": False, "cache_seconds": 0, "rate_limit_per_second": 100_000}
    return Settings.model_validate(values | more)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All the files of the cases, each alone in a collection of its name's first part, and the texts of many languages together."""
    require("the embedding model", "Run `make fetch`.", (MODELS / "all-minilm-l6-v2-q").is_dir())
    with service.running(settings(tmp_path_factory.mktemp("cases"))) as started:
        for path in sorted(FILES.iterdir()):
            started.put(path, collection(path.name))
        for name in (
            "settings.json",
            "choir-letter.rtf",
            "lab-notebook.ipynb",
            "training.pptx",
            "coffee-manual.epub",
            "hausordnung.odt",
        ):
            started.put(DOCUMENTS / name, collection(name))
        for line in (HERE / "languages.jsonl").read_text(encoding="utf-8").splitlines():
            text = json.loads(line)
            started.client.post("/v1/documents", json=_sent(text, "languages")).raise_for_status()
        for title, said in TEXTS:
            started.client.post("/v1/documents", json=_sent({"title": title, "text": said}, "texts")).raise_for_status()
        started.settle()
        yield started


TEXTS = (
    ("Errors of the pump, part 1", "ERR-4032 means that the valve is stuck. ERR-4033 means that the sensor is wet."),
    ("About errors", "ERR is short for error. An ERR is written for each ERR that the pump sees: ERR, ERR, ERR and ERR again."),
    ("Pumps", "The Minto pump has a reserve of 17 litres. It is painted blue and stands beside the gate."),
    ("Memo of 4 May 2021", "Memo, 4 May 2021. An invoice of Kestrel is paid within 30 days."),
    ("Memo of 9 June 2024", "Memo, 9 June 2024. An invoice of Kestrel is paid within 45 days."),
)


def _sent(text: dict[str, str], collection: str) -> dict[str, str]:
    return {"title": text["title"], "text": text["text"], "collection": collection}


def collection(name: str) -> str:
    return name.replace(".", "-").replace("_", "-").lower()


def ask(running: Running, question: str, name: str) -> str:
    """The answer from one collection; an answer that is not grounded is `I don't know`."""
    found = running.ask(question, [collection(name)])
    return str(found["answer"]) if found["grounded"] else "I don't know"


def found(running: Running, query: str, name: str, mode: str = "lexical") -> list[str]:
    """Title and passage of each hit."""
    return [f"{hit['title']}\n{hit['passage']}" for hit in running.search(query, [collection(name)], mode=mode)]


def document(running: Running, name: str) -> dict[str, object]:
    (only,) = running.client.get("/v1/documents", params={"collection": collection(name)}).json()["items"]
    return dict(only)


def html_table(running: Running) -> None:
    assert holds(ask(running, "What is the day tariff in the Harbour zone?", "h05_table.html"), ["6.10"])


def pdf_ligatures(running: Running) -> None:
    assert holds(ask(running, "Who defines the office workflow?", "p01_ligatures.pdf"), ["Bellweather"])
    assert found(running, "officer", "p01_ligatures.pdf")
    assert found(running, "flux coefficient", "p01_ligatures.pdf")


def pdf_aes(running: Running) -> None:
    assert document(running, "p07b_ownerpw.pdf")["status"] == "indexed"


def pdf_mixed_scan(running: Running) -> None:
    one = document(running, "p12_mixed_scan.pdf")
    assert one["status"] == "indexed"
    assert "Page 2 has no text" in str(one["warnings"])


def pdf_scan(running: Running) -> None:
    one = document(running, "p11_scan.pdf")
    assert one["status"] == "failed"
    assert "text recognition" in str(one["error"])


def pdf_header_footer(running: Running) -> None:
    passages = found(running, "station batch", "p06_headers.pdf")
    assert passages
    assert not any("CONFIDENTIAL" in passage.split("\n", 1)[1] for passage in passages)
    assert "CONFIDENTIAL" not in ask(running, "Which batch number does station 2 of the mill grind?", "p06_headers.pdf")


def cp1252(running: Running) -> None:
    assert holds(ask(running, "How much is the tenant's deposit?", "t05_cp1252.txt"), ["€850"])


def utf16_nobom(running: Running) -> None:
    assert document(running, "t04b_utf16le_nobom.txt")["status"] == "indexed"
    assert found(running, "harbour master", "t04b_utf16le_nobom.txt")


def html_boilerplate(running: Running) -> None:
    assert found(running, "Velm orchid", "h04_boiler.html")
    assert [word for word in ("cookies", "basket", "cacti", "Bob", "copyright") if found(running, word, "h04_boiler.html")] == []


def frontmatter_title(running: Running) -> None:
    assert document(running, "m03_frontmatter.md")["title"] == "Runbook of the Ibis queue"


def office_formats(running: Running) -> None:
    names = ("d01.docx", "d02.xlsx", "training.pptx", "coffee-manual.epub", "hausordnung.odt")
    assert {name: document(running, name)["status"] for name in names} == dict.fromkeys(names, "indexed")


def raw_accepted(running: Running) -> None:
    assert found(running, "gate code", "c05.eml")
    assert found(running, "baritone", "choir-letter.rtf")
    assert found(running, "duckweed", "lab-notebook.ipynb")
    assert found(running, "bandwidth", "settings.json")
    assert [code for code in ("fonttbl", "fcharset0") if found(running, code, "choir-letter.rtf")] == []
    assert not found(running, "cell_type", "lab-notebook.ipynb")


def contradiction(running: Running) -> None:
    answer = ask(running, "Within how many days is an invoice of Kestrel paid?", "texts")
    assert holds(answer, ["45 days"])
    assert not holds(answer, ["30 days"]) or answer.index("45 days") < answer.index("30 days")


def table_chunk(running: Running) -> None:
    assert holds(ask(running, "What is the interval of part HP-013?", "m01_longtable.md"), ["1300"])


def heading_lost(running: Running) -> None:
    answer = ask(running, "How long does the warranty of machine Cedar last?", "m05_longsections.md")
    assert holds(answer, ["48 months"])
    assert not holds(answer, ["60 months"])


def code_chunk(running: Running) -> None:
    passages = found(running, "copy FILES host", "m02_code.md")
    assert any("\n    for name in FILES:\n        copy(name, host)" in passage for passage in passages)


def neighbour_answers(running: Running) -> None:
    assert ask(running, "How much does the reserve tank of Tavy hold?", "texts") == "I don't know"


def wrong_id(running: Running) -> None:
    assert ask(running, "What does ERR-4055 mean?", "texts") == "I don't know"


def id_rank(running: Running) -> None:
    for mode in ("lexical", "hybrid"):
        assert "ERR-4032" in found(running, "ERR-4032", "texts", mode)[0]


def cjk_search(running: Running) -> None:
    for query, title in (("退货期限", "仓库规定"), ("发票", "仓库规定"), ("返品期限", "倉庫の規則")):
        for mode in ("lexical", "hybrid"):
            assert found(running, query, "languages", mode)[0].startswith(title), (query, mode)


def fold(running: Running) -> None:
    assert found(running, "Strasse", "languages")
    assert found(running, "يغلق المخزن", "languages")


TESTS: dict[str, Callable[[Running], None]] = {
    check.__name__.replace("_", "-"): check
    for check in (
        html_table, pdf_ligatures, pdf_aes, pdf_mixed_scan, pdf_scan, pdf_header_footer, cp1252, utf16_nobom, html_boilerplate,
        frontmatter_title, office_formats, raw_accepted, contradiction, table_chunk, heading_lost, code_chunk, neighbour_answers,
        wrong_id, id_rank, cjk_search, fold,
    )
}  # fmt: skip


@pytest.mark.parametrize("case", TESTS)
def test_what_failed_once_is_right(running: Running, case: str) -> None:
    TESTS[case](running)


MODEL_CASES = ("llm-citation-forms", "llm-think", "llm-gpt5", "llm-number")
QUESTION = "How many litres does the Zarnow tank hold?"
TEXT = "The Zarnow tank holds 55 litres. It is filled every morning by the first shift."


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with scripted_model() as started:
        yield started


@pytest.fixture(scope="module")
def written(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service whose answers the scripted model writes."""
    more = {"embedding": "none", "generation": "openai", "generation_model": "scripted", "openai_base_url": model.url}
    with service.running(settings(tmp_path_factory.mktemp("model"), **more)) as started:
        for text in (TEXT, "The Zarnow tank is painted blue. Its litres are counted at noon."):
            started.client.post("/v1/documents", json=_sent({"title": "Zarnow tank", "text": text}, "zarnow")).raise_for_status()
        started.settle()
        yield started


@pytest.mark.parametrize("mark", ["[1, 2]", "[1-2]", "【1】", "[Source 1]", "[^1]"])
def test_every_usual_form_of_a_citation_is_understood(written: Running, model: ScriptedModel, mark: str) -> None:
    model.says = f"The Zarnow tank holds 55 litres {mark}."
    answer = written.ask(QUESTION)
    assert answer["grounded"]
    assert "55 litres" in answer["answer"]
    assert answer["citations"]


def test_what_a_model_thinks_is_never_shown(written: Running, model: ScriptedModel) -> None:
    model.says = "<think>The user asks about [1]. Perhaps 60 litres [1].</think>The Zarnow tank holds 55 litres [1]."
    answer = written.ask(QUESTION)
    assert answer["grounded"]
    assert "think" not in answer["answer"]
    assert "60" not in answer["answer"]


def test_a_model_that_refuses_max_tokens_is_asked_with_max_completion_tokens(written: Running, model: ScriptedModel) -> None:
    model.says, model.refuses = "The Zarnow tank holds 55 litres [1].", "max_tokens"
    try:
        assert written.ask(QUESTION)["grounded"]
    finally:
        model.refuses = ""
    assert "max_completion_tokens" in model.asked[-1]


def test_a_number_that_the_source_does_not_hold_is_not_grounded(written: Running, model: ScriptedModel) -> None:
    model.says = "The Zarnow tank holds 5500 litres [1]."
    assert not written.ask(QUESTION)["grounded"]


def test_every_case_has_its_test() -> None:
    assert {*TESTS, *MODEL_CASES, *ELSEWHERE} == set(CASES)
    root = Path(tests.__file__).parents[1]
    assert [place for place in ELSEWHERE.values() if not (root / place.split(":")[0]).is_file()] == []
