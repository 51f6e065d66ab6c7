from __future__ import annotations

import pytest

from teal.laptop.demo.rest_text import clean, inline, title

PAGE = """\
========
Settings
========

.. currentmodule:: django.conf

.. _settings-label:

.. toctree::
    :maxdepth: 1

    other/page

See :doc:`the guide </topics/settings>` and :ref:`app
loading <apps>`::

    DEBUG = True  # set ``no`` markup here

.. setting:: CACHES

``CACHES``
----------

.. note::

    Kept prose about :setting:`CACHES`.

.. versionadded:: 5.2

    It is new.
"""


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (":setting:`DEBUG`", "DEBUG"),
        (":class:`~django.db.models.Model`", "Model"),
        (":meth:`save() <django.db.models.Model.save>`", "save()"),
        ("``x = [1]``", "x = [1]"),
        ("`the site <https://example.invalid>`_", "the site"),
        ("**must** not", "must not"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        (":doc:`a\n   b </c>`", "a b"),
    ],
)
def test_markup_becomes_the_words_it_shows(markup: str, text: str) -> None:
    assert inline(markup) == text


def test_title_is_the_first_heading() -> None:
    assert title(PAGE) == "Settings"
    assert title("no heading here\njust text") is None
    assert title("``DEBUG``\n=========\n") == "DEBUG"


def test_directives_and_labels_are_gone_and_prose_code_and_names_stay() -> None:
    text = clean(PAGE)
    for gone in ("..", "toctree", "maxdepth", "other/page", "currentmodule", "settings-label", "====", ":ref:", "`"):
        assert gone not in text
    for kept in (
        "Settings",
        "the guide",
        "app loading:",
        "DEBUG = True",
        "Kept prose about CACHES.",
        "New in version 5.2:",
        "It is new.",
    ):
        assert kept in text


def test_a_name_that_its_heading_says_already_is_said_once() -> None:
    assert clean("``CACHES``\n==========\n\n.. setting:: CACHES\n\nText.\n").count("CACHES") == 1
    assert "save(force=False)" in clean("Saving\n======\n\n.. method:: save(force=False)\n\n    Text.\n")


def test_names_of_links_and_stress_lose_their_marks_and_code_keeps_its_own() -> None:
    assert inline("It uses PBKDF2_ and bcrypt_, a *single* object.") == "It uses PBKDF2 and bcrypt, a single object."
    assert (
        inline("Call ``name_`` with *args, **kwargs and __init__ of my_var.")
        == "Call name_ with *args, **kwargs and __init__ of my_var."
    )
