"""Reads a question: finds the terms that an answer must contain, and leaves out the words that only make it a question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from typing import Final, Literal

from app.answering.function_words import ANSWER_KIND_WORDS, DENSE_FORMS, FUNCTION_WORDS, language
from app.answering.numbers import normalized_number
from app.answering.word_forms import ALIKE
from app.text.analysis import compounds, index_terms, runs, word_terms
from app.text.folding import fold
from app.text.sentences import sentences


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# The kinds of terms. "exact": an identifier, a number or a name, which every answer must contain. "word": the subject. "kind": a
# word for the kind of answer ("which day"), which the answer often lacks. "dense": a run in a script without spaces. "money":
# asks for a price, and any amount of money matches it.
Kind = Literal["exact", "word", "kind", "dense", "money"]

_WEIGHT: Final[dict[Kind, float]] = {"exact": 1.0, "word": 1.0, "kind": 0.2, "dense": 1.0, "money": 1.0}
_QUOTED: Final = re.compile(r"[\"“«„「『]([^\"”»“」』]{2,80})[\"”»“」』]")
_MONEY: Final = re.compile(
    r"[$€£¥₽₴₹₺元円]|\b(?:eur|usd|gbp|chf|jpy|cny|sek|pln|euros?|dollars?|pounds?|francs?|cents?|yen|kronor|zł|злот\w+|руб\w*|гривен\w*|free)\b|دينار|ريال|درهم|يورو|دولار|หยวน|บาท",
    re.IGNORECASE,
)
_MONEY_WORDS: Final = _set(
    "cost costs kostet kosten cuesta cuestan coute coutent costa costano custa custam стоит стоят kosztuje kosztuja koster kost تكلف سعر "
    "euro euros dollar dollars pound pounds franc francs"
)
_GROUPS: Final = re.compile(r"(?<=\d)[,'’\u00a0\u202f](?=\d{3}(?!\d))")  # the thousands separators of a number, as in 1,800
_FIGURE: Final = re.compile(r"\A\d[\d.]{0,30}\Z")
# Phrases that ask for a limit; the answer expresses them in other words ("no more than").
_LIMITS: Final = re.compile(
    r"\b(?:como (?:máximo|mucho|mínimo)|au (?:maximum|plus|minimum|moins)|at (?:most|least)|al (?:massimo|minimo))\b",
    re.IGNORECASE,
)
_LEAST_ALONE: Final = 2  # terms that make a last sentence a question of its own, without the sentences before it
_QUARTERS: Final = ("first", "second", "third", "fourth")
_QUARTER: Final = re.compile(r"\bQ([1-4])\b|\b(?:(first|second|third|fourth)|([1-4])(?:st|nd|rd|th)) quarter\b", re.IGNORECASE)
# Labels before an identifier, which add nothing to it.
_LABELS: Final = _set(
    "code codes error part item article number fehler fehlercode artikel nummer codigo codigos numero pieza erreur piece codice codigo код ошибка деталь артикул رمز الرمز"
)
_NAMES_SHARE: Final = 0.75  # if a larger share of a question's words is capitalised, capitals do not mark names
_SHORTEST_PART: Final = 5  # letters of a word that matches a longer word which contains it (in English: begins with it)
_SHORTEST_ROOT: Final = 4
_LONGEST_ENDING: Final = 3
_IN_DENSE: Final = re.compile(
    r"[\u0e01-\u0e4e\u0e81-\u0ecd\u1000-\u109f\u1780-\u17d3\u3041-\u30fc\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]"
)
_LONGEST_WORD: Final = 40  # letters before a word that are searched for the preceding word
# Words that are part of a street's name: "rue des Lilas" is one name.
_PLACES: Final = _set("rue avenue place quai boulevard chemin calle avenida plaza paseo via piazza rua")
_STREET: Final = re.compile(r"(?:gasse|stra(?:ß|ss)e|str|weg|platz|allee|ring|damm|ufer)\Z", re.IGNORECASE)
_HOUSE: Final = re.compile(r"\d{1,4}[a-z]?\Z")
_BEFORE_NAMES: Final = _set("der des im bei beim am vom von zum zur dem den frau herr herrn firma")
_IDENTIFIED: Final = re.compile(r"\s[«„“\"']?(?=[\w-]*\d)(?=[\w-]*[^\W\d_])[\w-]+")
_HOW: Final = _set("how wie")  # the next word asks for a measure: "how high", "wie teuer"
_SENTENCE_START: Final = re.compile(r"(?:^|[.!?:;]\s+|[¿¡(]\s*|\n)$")
# Groups of words that exclude each other, such as opposites; an embedding model rates them as similar.
_CONTRASTS: Final = tuple(
    frozenset(words.split())
    for words in (
        "morning afternoon evening night noon midnight", "minimum maximum", "open close", "opens closes", "opening closing", "summer winter spring autumn",
        "arrive depart leave", "arrival departure", "start end begin finish", "buy sell", "first last second third", "left right north south east west",
        "upper lower", "old new", "adult child children", "men women", "weekday weekend", "day night", "import export", "input output", "entry exit",
        "internal external", "hot cold", "income expense", "before after", "monday tuesday wednesday thursday friday saturday sunday",
        "january february march april may june july august september october november december", "daily weekly monthly yearly annual quarterly",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a question: as written, folded, and as stems in the form of the index."""

    text: str
    folded: str
    stems: tuple[str, ...]
    kind: Kind
    told: bool = False  # it is of a sentence before the question ("My vase is broken. How long ...?")
    naming: bool = False  # part of a name ("rue" des Tanneurs), or possibly one (a German noun)

    @property
    def weight(self) -> float:
        """The term's weight in the coverage of the question."""
        return min(3.0, len(self.folded) / 2) if self.kind == "dense" else _WEIGHT[self.kind]


@dataclass(frozen=True, slots=True)
class Question:
    """A question that was read. `text`: for a language model; `search`: the query for the index; `asked`: the terms that an
    answer must contain; `any_of`: names from the conversation before, of which an answer must contain at least one;
    `language`: a code, or "" when unknown."""

    text: str
    search: str
    asked: tuple[Term, ...]
    language: str
    any_of: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class TextTerms:
    """The words of a text, to be compared with a question: its index terms, its folded words,
    and whether it names an amount of money."""

    terms: frozenset[str]
    folded: frozenset[str]
    money: bool

    def __or__(self, other: TextTerms) -> TextTerms:
        return TextTerms(self.terms | other.terms, self.folded | other.folded, self.money or other.money)


def _quarters(text: str) -> Iterator[str]:
    """Both names of each quarter of a year that the text mentions: "Q1" is also the "first quarter"."""
    for found in _QUARTER.finditer(text):
        number = int(found[1] or found[3] or 1 + _QUARTERS.index(found[2].lower()))
        yield f"Q{number} {_QUARTERS[number - 1]} quarter"


@lru_cache(4096)
def words_of(text: str) -> TextTerms:
    """The words of `text`."""
    text = " ".join([text, *_quarters(text)])
    folded = frozenset(fold(run) for _, compound in compounds(text) for run, dense in runs(compound) if not dense)
    terms = frozenset(index_terms(_GROUPS.sub("", text))) | frozenset(index_terms(text))
    return TextTerms(terms, folded, _MONEY.search(text) is not None)


def _with_names(found: Sequence[Term], text: str, tongue: str) -> Iterator[Term]:
    """The terms, with `naming` set for words that belong to a name, such as the word before it, the kind of a
    street, or a small word between them."""
    named: set[str] = set()
    nouns = False
    street = ""
    for term, following in zip_longest(found, found[1:]):
        before = _word_before(text, text.find(term.text))
        noun = tongue == "de" and term.text[:1].isupper()  # the first noun is what is asked for; the others may be names
        naming = noun and nouns and before in _BEFORE_NAMES | named
        named, nouns = {term.text.lower()} if naming else set(), nouns or noun
        if following is not None and following.kind == "exact" and not any(map(str.isdigit, following.folded)):
            between = text[text.find(term.text) + len(term.text) : text.find(following.text)]
            apart = len(between.split()) > (term.folded in _PLACES)
            naming = naming or (not apart and not set(between) & set(",;:?!"))
        # "Lindengasse 14", "calle Jacaranda 7": a house number belongs to the street before it
        house = bool(street) and before == street and _HOUSE.match(term.folded) is not None
        yield replace(term, naming=True) if house or (naming and term.kind == "word") else term
        street = term.text.lower() if _STREET.search(term.text) or before in _PLACES else ""


def read_question(text: str) -> Question:
    """Read a question that needs no conversation before it."""
    folded = [fold(run) for _, compound in compounds(text) for run, dense in runs(compound) if not dense]
    tongue = language(folded) if folded else ""
    plain = _GROUPS.sub("", text)
    asked = tuple(_with_names(list(_terms(plain, tongue)), plain, tongue))
    return Question(text, text, tuple(_of_background(asked, plain, tongue)), tongue)


def _of_background(asked: Sequence[Term], text: str, tongue: str) -> Iterator[Term]:
    """The terms; those that occur only in sentences before the question are marked as `told`."""
    said = list(sentences(text))
    last = {term.folded for term in _terms(said[-1], tongue) if term.kind != "kind"} if len(said) > 1 else set[str]()
    whole = len(last) >= _LEAST_ALONE and not any(one.endswith(("?", "？", "؟")) for one in said[:-1])
    for term in asked:
        yield replace(term, told=True) if whole and term.kind == "word" and term.folded not in last else term


def question_for_document(question: Question, held: TextTerms) -> Question:
    """The question for a document with the words `held`. A `told` term that the document does not mention at all becomes
    background: its kind is changed to "kind"."""
    if not any(term.told for term in question.asked):
        return question
    asked = [
        replace(term, kind="kind") if term.told and not term_coverage(term, held, tongue=question.language) else term
        for term in question.asked
    ]
    return replace(question, asked=tuple(asked))


def number_of(term: Term) -> str:
    """The number if the term is one, else ""."""
    return normalized_number(term.folded) if term.kind == "exact" and _FIGURE.match(term.folded) else ""


def term_coverage(term: Term, held: TextTerms, *, tongue: str) -> float:
    """The share of a term, in [0, 1], that a text contains; for a name or number it is 0 or 1."""
    if term.kind == "dense":
        return _dense_share(term.folded, held)
    if term.kind == "money" and held.money:
        return 1.0
    if all(stem in held.terms for stem in term.stems):
        return 1.0
    if (
        tongue == "en"
        and len(term.stems) == 1
        and term.kind != "exact"
        and not held.terms.isdisjoint(ALIKE.get(term.stems[0], ()))
    ):
        return 1.0
    if any(map(str.isdigit, term.folded)) or (term.kind == "exact" and tongue == "en"):
        return 0.0
    return 1.0 if any(_akin(term.folded, word, tongue) for word in held.folded) else 0.0


def contradicts(term: Term, held: TextTerms) -> bool:
    """Whether the text has, instead of the term, a word that excludes it (`_CONTRASTS`)."""
    return any(term.folded in kind and term.folded not in held.folded and not kind.isdisjoint(held.folded) for kind in _CONTRASTS)


def _akin(asked: str, word: str, tongue: str) -> bool:
    """Whether two words are forms of one word, or a compound and its part. English words were already stemmed; in
    other languages a common root is required."""
    short, long = sorted((asked, word), key=len)
    if tongue == "en":
        return len(short) >= _SHORTEST_PART and long.startswith(short) and len(long) - len(short) <= _LONGEST_ENDING + 1
    # Hebrew and Arabic write articles together with the word.
    if not short.isascii() and len(short) >= 3 and "\u0590" <= short[0] <= "\u06ff":
        return long.endswith(short) and len(long) - len(short) <= _LONGEST_ENDING
    if len(short) >= _SHORTEST_PART and short in long:
        return True
    common = next((place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    root = _SHORTEST_ROOT - (not short.isascii())
    ending = _LONGEST_ENDING + (common > _SHORTEST_PART)
    return common >= max(root, len(long) - _LONGEST_ENDING) or (common >= _SHORTEST_PART and len(long) - common <= ending)


def _dense_share(run: str, held: TextTerms) -> float:
    if len(run) == 1:
        return float(run in held.terms)
    covered = [False] * len(run)
    for place in range(len(run) - 1):
        if run[place : place + 2] in held.terms:
            covered[place] = covered[place + 1] = True
    return sum(covered) / len(run)


def _terms(text: str, tongue: str) -> Iterator[Term]:
    bare = _LIMITS.sub(_blank, DENSE_FORMS.sub(_blank, text))
    quoted = [found.span(1) for found in _QUOTED.finditer(text)]
    found = [
        (place + part_place, 0 if part_place else run_place, run, dense, part)
        for place, compound in compounds(bare)
        for part_place, part in _by_script(compound)
        for run_place, run, dense in _placed_runs(part)
    ]
    identified = any(any(map(str.isdigit, part)) and any(map(str.isalpha, part)) for *_, part in found)
    function = FUNCTION_WORDS.get(tongue, frozenset())
    spaced = [run for *_, run, dense, _ in found if not dense and fold(run) not in function]
    # German capitalises every noun, so there a capital does not mark a name.
    telling = tongue != "de" and (sum(run[:1].isupper() for run in spaced) <= _NAMES_SHARE * len(spaced) or len(spaced) <= 2)
    seen: set[str] = set()
    for place, run_place, run, dense, compound in found:
        folded = fold(run)
        if dense:
            if len(run) == 1 and "\u3041" <= run <= "\u309f":
                continue  # the rest of a function word
            kind: Kind = "dense"
        elif any(map(str.isdigit, compound)):
            if run_place:
                continue  # the whole identifier was taken with its first part
            folded, run = fold(compound), compound
            kind = "exact"
        else:
            within_quotes = any(start <= place + run_place < end for start, end in quoted)
            named = telling and run[0].isupper() and not _SENTENCE_START.search(text[:place])
            if folded in function and not (run.isupper() and len(run) > 1 and named):
                continue
            if within_quotes or named:
                kind = "exact"
            elif folded in _MONEY_WORDS:
                kind = "money"
            else:
                measured = _word_before(text, place) in _HOW and tongue in ("en", "de")
                labels = identified and (folded in _LABELS or _IDENTIFIED.match(text[place + run_place + len(run) :]) is not None)
                kind = "kind" if folded in ANSWER_KIND_WORDS or labels or measured else "word"
        if folded in seen:
            continue
        seen.add(folded)
        known = _identifier_terms(run, text) if any(map(str.isdigit, run)) else word_terms(run)[:1]
        if dense or known:
            yield Term(run, folded, known, kind)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group())


def _word_before(text: str, place: int) -> str:
    words = re.findall(r"\w+", text[max(0, place - _LONGEST_WORD) : place])
    return words[-1].lower() if words else ""


def _identifier_terms(identifier: str, question: str) -> tuple[str, ...]:
    """The index terms of an identifier. In a question in a script without spaces the joined form is left out: the index has only
    the parts there, because 代码S-312 is one word."""
    known = index_terms(identifier)
    return tuple(known[:-1] if len(known) > 2 and _IN_DENSE.search(question) else known)


def _by_script(compound: str) -> Iterator[tuple[int, str]]:
    """(offset, part) for the parts of a compound, which is split where the script changes: 代码S-312表示 gives 代码, S-312 and 表示."""
    if compound.isascii() or not any(dense for _, dense in runs(compound)):
        yield 0, compound
        return
    place = 0
    for part in re.split(f"({_IN_DENSE.pattern}+)", compound):
        bare = part.strip("-./")
        if bare:
            yield place + part.find(bare), bare
        place += len(part)


def _placed_runs(compound: str) -> Iterator[tuple[int, str, bool]]:
    place = 0
    for run, dense in runs(compound):
        place = compound.find(run, place)
        yield place, run, dense
        place += len(run)
