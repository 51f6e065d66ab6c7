"""The registry of adapters: for each name that a setting may have, the object that implements the port, as `module:attribute`.

A new adapter is a new module and one line here. The settings take their choices from these tables, so that the error for a wrong
name lists the right ones. `load_registered` imports only the chosen adapter, so that no adapter loads the driver of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

SEARCH_ENGINES: Final[Mapping[str, str]] = {  # app/search/port.py: SearchEngine
    "embedded": "app.search.sqlite.adapter:ENGINE",
    "elasticsearch": "app.search.elasticsearch.adapter:ENGINE",
}
EMBEDDING_PROVIDERS: Final[Mapping[str, str]] = {  # app/models/port.py: EmbeddingProvider
    "local": "app.models.embed_local:PROVIDER",
    "bedrock": "app.models.embed_bedrock:PROVIDER",
    "none": "app.models.port:NO_EMBEDDING",
}
# Each is called with the settings and returns a Generator (app/models/port.py), or None.
GENERATION_PROVIDERS: Final[Mapping[str, str]] = {
    "extractive": "app.models.port:no_generator",
    "openai": "app.models.generate_openai:OpenAIGenerator",
    "bedrock": "app.models.generate_bedrock:BedrockGenerator",
}
# Each is called with the settings and returns a SnapshotStore (app/backup/port.py).
SNAPSHOT_STORES: Final[Mapping[str, str]] = {
    "folder": "app.backup.stores.folder:open_folder",
    "elasticsearch": "app.backup.stores.elasticsearch:RepositoryStore",
    "s3": "app.backup.stores.s3:S3SnapshotStore",
}
SEARCH_COPIES: Final[Mapping[str, str]] = {  # app/backup/port.py: SearchCopies, for each search engine
    "embedded": "app.backup.sqlite:COPIES",
    "elasticsearch": "app.backup.elasticsearch:COPIES",
}

if TYPE_CHECKING:
    SearchEngineName: TypeAlias = str
    EmbeddingProviderName: TypeAlias = str
    GenerationProviderName: TypeAlias = str
    SnapshotStoreName: TypeAlias = str
else:  # so that pydantic refuses an unknown name and lists the known ones
    SearchEngineName = Literal[tuple(SEARCH_ENGINES)]
    EmbeddingProviderName = Literal[tuple(EMBEDDING_PROVIDERS)]
    GenerationProviderName = Literal[tuple(GENERATION_PROVIDERS)]
    SnapshotStoreName = Literal[tuple(SNAPSHOT_STORES)]


def load_registered(table: Mapping[str, str], name: str) -> Any:
    """The object registered under `name`. Raises ValueError, which lists the known names, for an unknown one."""
    if name not in table:
        raise ValueError(f"There is no {name!r}; choose one of {', '.join(table)}.")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
