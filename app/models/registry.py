"""The pinned local models: the digests of their files, and for an embedding model how its output becomes a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from app.errors import ModelUnavailable


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One embedding model. The SHA-256 of `model.onnx` is the digest in the stamp of an index. The files' download
    addresses are in `teal/laptop/artifacts.py`."""

    name: str
    onnx_sha256: str
    tokenizer_sha256: str
    dimensions: int
    pooling: Literal["cls", "mean"]
    query_prefix: str
    max_tokens: int  # the length the model was trained for; text beyond it is not seen


_MODELS: Final = (
    LocalModel(
        name="all-minilm-l6-v2-q",
        onnx_sha256="afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1",
        tokenizer_sha256="da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
        dimensions=384,
        pooling="mean",
        query_prefix="",
        max_tokens=256,
    ),
    LocalModel(
        name="bge-small-en-v15-q",
        onnx_sha256="6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4",
        tokenizer_sha256="d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        dimensions=384,
        pooling="cls",
        query_prefix="Represent this sentence for searching relevant passages: ",
        max_tokens=512,
    ),
)


@dataclass(frozen=True, slots=True)
class LocalCrossEncoder:
    """A model that reads a question and a text together and scores how well the text answers the question."""

    name: str
    onnx_sha256: str
    tokenizer_sha256: str
    max_tokens: int  # of question and text together; it was trained for 512, and a sentence with its context has far fewer


CROSS_ENCODER: Final = LocalCrossEncoder(
    name="ms-marco-minilm-l12-v2-q",
    onnx_sha256="1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    tokenizer_sha256="cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
    max_tokens=256,
)
LOCAL_MODELS: Final[dict[str, LocalModel]] = {model.name: model for model in _MODELS}


def local_model(name: str) -> LocalModel:
    """The pinned model with this name. Raises `ModelUnavailable`, which lists the known names, for an unknown one."""
    try:
        return LOCAL_MODELS[name]
    except KeyError:
        known = ", ".join(LOCAL_MODELS)
        raise ModelUnavailable(
            f"TEAL_EMBEDDING_MODEL is {name!r}, which is no pinned local model: set it to one of {known}."
        ) from None
