"""A local model's two files: verified against their pinned digests, and opened for the CPU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.errors import ModelUnavailable, TealError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILES: Final = ("model.onnx", "tokenizer.json")
MOST_REASON_CHARACTERS: Final = 300  # a runtime's message may list its whole graph; its beginning says what was wrong


def present(folder: Path) -> bool:
    """Whether both files exist; their digests are checked when they are loaded."""
    return all((folder / name).is_file() for name in FILES)


def verify(folder: Path, *, onnx_sha256: str, tokenizer_sha256: str) -> None:
    """Raises `ModelUnavailable` when a file is missing or is not the pinned one."""
    for name, expected in zip(FILES, (onnx_sha256, tokenizer_sha256), strict=True):
        _verify(folder / name, expected)


@contextmanager
def as_unavailable(what: str) -> Iterator[None]:
    """Raise `ModelUnavailable`, which begins with `what`, in place of an error of ONNX Runtime or of the tokenizer:
    these have no common class, and a caller that goes on without the model knows only this one."""
    try:
        yield
    except TealError:
        raise
    except Exception as error:
        raise ModelUnavailable(f"{what}: {type(error).__name__}: {str(error)[:MOST_REASON_CHARACTERS]}") from error


def open_tokenizer(folder: Path, *, most_tokens: int) -> Tokenizer:
    """The tokenizer, without padding. `most_tokens` replaces the file's own limit; in a
    pair the longer text is truncated first."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(most_tokens)
    tokenizer.no_padding()
    return tokenizer


def open_session(folder: Path, *, threads: int) -> Any:
    """The ONNX session. Thread-safe: it keeps no state between calls."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded; stops its usage reports
    import onnxruntime  # takes about a second to load, and the stamp does not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads must not burn CPU
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])


def encodable(text: str) -> str:
    """The text without lone surrogates: they are valid in JSON and in str, but not in UTF-8, which the tokenizer needs."""
    return text.encode("utf-8", "replace").decode()


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelUnavailable(f"The model file {path} is missing: fetch it with `teal up`.")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise ModelUnavailable(
            f"The model file {path} has SHA-256 {found}, not {expected}: remove its folder, then run `teal up` to fetch it again."
        )
