"""One table says how large a body may be, and a path that nobody thought of takes little."""

from __future__ import annotations

import pytest

from contract.bodies import DOCUMENTS_PATH, QUESTION_PATHS, document_body_bytes, limit_bytes

DOCUMENT_BYTES = 10_000_000


@pytest.mark.parametrize("path", QUESTION_PATHS)
def test_a_question_takes_256_kb(path: str) -> None:
    assert limit_bytes(path, DOCUMENT_BYTES) == 262_144


@pytest.mark.parametrize("path", [DOCUMENTS_PATH, "/v1/documents/upload", "/v1/documents/abc"])
def test_a_document_takes_what_a_document_may_be(path: str) -> None:
    assert limit_bytes(path, DOCUMENT_BYTES) == document_body_bytes(DOCUMENT_BYTES) == 20_064_000


@pytest.mark.parametrize("path", ["/v1/session", "/", "/v1/new", "/v1/documentsx", "/v1/search/", "/V1/SEARCH", "//v1/documents"])
def test_every_other_path_takes_4_kb(path: str) -> None:
    assert limit_bytes(path, DOCUMENT_BYTES) == 4_096
