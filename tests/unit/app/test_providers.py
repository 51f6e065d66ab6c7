"""Every adapter is registered once; the settings take their choices from the tables."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from app import providers
from app.backup.port import SearchCopies
from app.commands import settings_table
from app.models.port import EmbeddingProvider
from app.search.port import SearchEngine
from app.settings import Settings

CHOSEN = {
    "search": providers.SEARCH_ENGINES,
    "embedding": providers.EMBEDDING_PROVIDERS,
    "generation": providers.GENERATION_PROVIDERS,
    "backup_store": providers.SNAPSHOT_STORES,
}


@pytest.mark.parametrize("setting", CHOSEN)
def test_a_setting_takes_every_registered_name_and_lists_them_for_another(setting: str) -> None:
    for name in CHOSEN[setting]:
        assert getattr(Settings.model_validate({setting: name}), setting) == name
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({setting: "none-such"})
    assert all(f"'{name}'" in str(raised.value) for name in CHOSEN[setting])


@pytest.mark.parametrize("setting", CHOSEN)
def test_the_settings_page_names_every_registered_choice(setting: str) -> None:
    (row,) = [line for line in settings_table.settings_page().splitlines() if line.startswith(f"| `TEAL_{setting.upper()}` ")]
    assert f"One of: {', '.join(f'`{name}`' for name in CHOSEN[setting])}." in row


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (providers.SEARCH_ENGINES, SearchEngine),
        (providers.EMBEDDING_PROVIDERS, EmbeddingProvider),
        (providers.SEARCH_COPIES, SearchCopies),
    ],
)
def test_every_registered_adapter_is_what_its_table_promises(table: Mapping[str, str], kind: type) -> None:
    assert all(isinstance(providers.load_registered(table, name), kind) for name in table)


@pytest.mark.parametrize("table", [providers.GENERATION_PROVIDERS, providers.SNAPSHOT_STORES])
def test_every_registered_maker_can_be_called(table: Mapping[str, str]) -> None:
    assert all(callable(providers.load_registered(table, name)) for name in table)


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(ValueError, match="choose one of embedded, elasticsearch"):
        providers.load_registered(providers.SEARCH_ENGINES, "solr")
