"""The type of answer that a question needs: an amount, a moment, a person, a colour, a telephone number. A piece that only names
the thing that was asked about has none of these, and is no answer however well its words match."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.answering.function_words import FUNCTION_WORDS
from app.answering.numbers import numbers_in
from app.answering.question import Question, words_of
from app.text.folding import fold

_QUANTITY: Final = re.compile(
    r"\bhow (?:many|much|long|old|far|often|tall|high|big|deep|heavy|wide|fast|large|thick|warm|hot|cold|loud)\b"
    r"|\bwie(?:viele?| viele?n?| lange?| alt| weit| oft| hoch| groß| schwer| tief| breit| schnell| teuer)\b|\bwas kostet\b|\bcombien\b|\bcu[áa]nt[oa]s?\b"
    r"|\bquant[oaie]\b|сколько|\bكم\b|多少|几[天个次年月点号小周位]|幾|多久|多长|何[時日年月人円回]|いくつ|いくら|얼마|몇|กี่|เท่าไ",
    re.IGNORECASE,
)
_AMOUNT: Final = re.compile(
    r"\b(?:half|twice|both|single|none|no|free|unlimited|"
    r"ein(?:e[nmrs]?)?|halbe?[nrs]?|zweimal|einmal|keine?[nr]?|jede[nrsm]?|täglich|wöchentlich|monatlich|jährlich|kostenlos|"
    r"une?|demi\w*|aucune?|chaque|gratuit\w*|una?|uno|medi[oa]|ningun[oa]?|cada|gratis|mezzo|ogni|nessun\w*|meia?|"
    r"один|одна|одного|одной|одну|два|две|двух|двумя|три|трёх|трех|четыре\w*|пять|пяти|шесть|шести|семь|семи|восемь|восьми|девять|девяти|десять|десяти|"
    r"двадцат[ьи]|тридцат[ьи]|сорок\w*|пятьдесят|сто|полтора|пол\w+|кажд\w+|ежедневно|еженедельно|ежемесячно|бесплатн\w*)\b|надцат"
    r"|واحد|ثلاث|أربع|اربع|خمس|ست|سبع|ثمان|تسع|عشر|مئة|مائة|ألف|نصف|ربع|كل|مجان|(?<=\w\w)(?:ان|ين)\b"
    r"|半|毎|每|免费|無料|なし|전|หนึ่ง|สอง|สาม|สี่|ห้า|หก|เจ็ด|แปด|เก้า|สิบ",
    re.IGNORECASE,
)
# Measures: the words in a question that ask for one, and the units or nouns of which an answer must contain one.
_MEASURES: Final = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(units, re.IGNORECASE))
    for asked, units in (
        (
            r"\bhow heavy\b|\bwie schwer\b|\bcombien pèse|\bcu[áa]nto pesa",
            r"\d\s?(?:kg|g|t|mg|lbs?|oz)\b|gram|tonn|pound|ounce|pfund|weigh|wieg|gewicht|poids|peso|mass\b",
        ),
        (
            r"\bhow (?:tall|high|deep|wide|thick)\b|\bwie (?:tief|breit|dick)\b",
            r"\d\s?(?:[cmdkµ]?m|ft|in|km|mi|floors?|[\"″'′])\b|met(?:re|er)|inch|feet|foot|height|high|tall|deep|wide|thick|elevation|altitude|percent|%|tief|breit|dick|level|[€$£¥]|\b(?:euro|dollar|pound|franc)s?\b",
        ),
        (r"\bhow (?:hot|warm|cold)\b|\bwie (?:heiß|warm|kalt)\b", r"°|degree|grad\b|\bK\b|temperatur"),
        (r"\bhow loud\b|\bwie laut\b", r"\bdb\b|decibel|dezibel|noise|loud"),
        (r"\bhow fast\b|\bwie schnell\b", r"/|\bper\b|\bpro\b|km|mph|knots|speed|second|minute|hour|day"),
        (r"\bhow old\b|\bwie alt\b", r"year|month|week|day|jahr|monat|born|built|age|since|founded|\b(?:1[5-9]|20)\d\d\b"),
    )
)
_LASTING_ASKED: Final = re.compile(
    r"\bhow (?:long|often|soon|late|far)\b|\bwie (?:lange|oft|weit)\b|\bcombien de temps\b|\bcu[áa]nto (?:dura|tiempo)\b",
    re.IGNORECASE,
)
_MOMENT_ASKED: Final = re.compile(
    r"\bwhen\b|\b(?:what|which) (?:time|date|year|day|weekday|month)\b|\bwann\b|\ban welchem (?:tag|datum)\b|\bquand\b|\bquel jour\b|\bcu[áa]ndo\b|\bqué día\b",
    re.IGNORECASE,
)
_MOMENT: Final = re.compile(
    r"\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekdays?|weekends?|january|february|march|april|may|june|july|august|september|october|"
    r"november|december|morning|noon|afternoon|evening|midnight|night|dawn|dusk|sunrise|sunset|spring|summer|autumn|winter|easter|christmas|"
    r"today|tomorrow|day|week|month|year|quarter|daily|weekly|monthly|annually|before|after|until|till|once|if|as soon|whenever|during|while|always|never|"
    r"immediately|first|last|"
    r"januar|februar|märz|"
    r"juni|juli|oktober|dezember|sofort|nach|vor|bei|bis|wenn|sobald|während|frühling|sommer|herbst|"
    r"lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre|"
    r"jours?|semaine|mois|an(?:née)?|matin|midi|soir|minuit|nuit|avant|après|dès|jusqu\w*|lorsque|quand|pendant|"
    r"lunes|martes|miércoles|jueves|viernes|sábados?|domingos?|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|"
    r"días?|semanas?|mes(?:es)?|años?|mañana|mediodía|tarde|noche|antes|después|hasta|cuando|durante)\b"
    r"|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag|tag(?:e|en|s|es)?\b|woche|monat|jahr|abend|nacht|morgen|mittag",
    re.IGNORECASE,
)
_COLOUR_ASKED: Final = re.compile(
    r"\b(?:what|which) colou?rs?\b|\bcolou?r (?:is|are|does|do|of)\b|\bfarbe\b|\bcouleur\b|\bde qu[ée] color\b|\bqu[ée] color\b|\bcolore\b|\bcor\b|"
    r"цвет|لون|颜色|顏色|什么色|何色|\bsaç rengi\b|색",
    re.IGNORECASE,
)
_COLOUR: Final = re.compile(
    r"\b(?:red|orange|yellow|green|blue|violet|purple|pink|brown|black|white|gr[ae]y|silver|gold(?:en)?|beige|cream|ivory|turquoise|crimson|scarlet|"
    r"bronze|copper|transparent|clear|rot\w*|gelb\w*|grün\w*|blau\w*|violett\w*|lila|rosa|braun\w*|schwarz\w*|weiß\w*|grau\w*|silber\w*|"
    r"rouges?|jaunes?|vert(?:e|s|es)?|bleue?s?|viole(?:t|tte)s?|roses?|marron|bruns?|noire?s?|blan(?:c|che)s?|gris(?:es?)?|argent\w*|"
    r"roj[oa]s?|amarill[oa]s?|verdes?|azul(?:es)?|morad[oa]s?|marrón|negr[oa]s?|blanc[oa]s?|plate?ad[oa]s?|doré\w*|dorad[oa]s?|"
    r"ross[oaie]|giall[oaie]|blu|ner[oaie]|bianc\w+|vermelh\w+|amarel\w+|pret[oa]s?|"
    r"красн\w*|оранжев\w*|ж[её]лт\w*|зел[её]н\w*|син\w{1,3}|голуб\w*|фиолетов\w*|розов\w*|коричнев\w*|ч[её]рн\w*|бел\w{1,3}|сер\w{1,3})\b"
    r"|أحمر|حمراء|أصفر|صفراء|أخضر|خضراء|أزرق|زرقاء|أسود|سوداء|أبيض|بيضاء|بني|رمادي|وردي|برتقالي|[红紅橙黄黃绿綠蓝藍青紫粉棕黑白灰银銀金赤緑茶]",
    re.IGNORECASE,
)
_TELEPHONE_ASKED: Final = re.compile(
    r"\b(?:tele)?phone number\b|\btelefonnummer\b|\bnuméro de téléphone\b|\b(?:número de )?teléfono\b|номер телефона|телефон\w*|رقم (?:ال)?هاتف|电话|電話番号",
    re.IGNORECASE,
)
_TELEPHONE: Final = re.compile(r"\d(?:[\s./()-]{0,3}\d){3,}")
_PERSON_ASKED: Final = re.compile(
    r"\bwho(?:m|se)?\b|\bqui\b(?!\s+(?:est|sont)\s+(?:le|la|les)\s+\w+\s+qui)|\bqui[ée]n(?:es)?\b|\bчьё|\bкто\b", re.IGNORECASE
)
_PERSON: Final = re.compile(
    r"\b(?:everyone|everybody|nobody|anyone|all|team|department|office|desk|managers?|directors?|heads?|officers?|chair\w*|treasurer|secretary|owners?|tenants?|landlord|"
    r"employees?|members?|staff|students?|teachers?|doctors?|nurses?|parents?|customers?|guests?|visitors?|drivers?|engineers?|technicians?|supervisors?|"
    r"company|council|committee|board|firm|administrators?|admins?|users?|children|adults|"
    r"locataires?|bailleur|propriétaires?|directeur|directrice|président\w*|gardien\w*|service|société|salariés?|membres?|tous|personne|"
    r"director\w*|president\w*|dueñ\w+|propietari\w+|inquilin\w+|vecin\w+|emplead\w+|soci[oa]s?|empresa|todos|nadie|"
    r"директор\w*|начальник\w*|бухгалтер\w*|председатель|сотрудник\w*|отдел\w*|все|никто|мастер\w*)\b",
    re.IGNORECASE,
)
# The head of a column, or a key, whose values are people, in whatever form their names are written.
_OF_PEOPLE: Final = re.compile(
    r"(?:\A|, )(?:who|name|person|owner|responsible|assignee|contact|author|wer|zuständig|verantwortlich|qui|responsable|professeur|quién|кто|ответственный)"
    r"\b[^,:：]{0,40}[:：]",
    re.IGNORECASE,
)
_ARABIC: Final = re.compile(r"ثلاث|أربع|اربع|خمس|ست|سبع|ثمان|تسع|عشر|مئ|مائ|ألف")
_ROOT: Final = 5  # how many first letters two forms of a counted noun share
_KEY: Final = re.compile(r"\A[^:：]{1,80}[:：]\s+")
_HEADS: Final = re.compile(r"(?:\A|, )[^,:：]{1,60}[:：] ")  # the column heads in the text of a table row
_NAME: Final = re.compile(r"(?<=[\w,;:)»”\"'] )(?:[«„“\"(])?([^\W\d_a-zà-ÿа-я][\w'’-]+)")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a question asks for, computed once for all the pieces that are compared with it."""

    numbers: frozenset[str]
    scripts: frozenset[str]
    counted: str | None
    units: tuple[re.Pattern[str], ...]
    amount: bool
    lasting: bool
    moment: bool
    colour: bool
    telephone: bool
    person: bool


@lru_cache(256)
def _wanted(asked: str) -> _Wanted:
    counted = _COUNTED.search(asked)
    return _Wanted(
        numbers=frozenset(numbers_in(asked)),
        scripts=frozenset({_script(letter) for letter in asked if letter.isalpha()} - {"LATIN"}),
        counted=fold(counted[1])[:_ROOT] if counted else None,
        units=tuple(unit for wanted, unit in _MEASURES if wanted.search(asked)),
        amount=_QUANTITY.search(asked) is not None,
        lasting=_LASTING_ASKED.search(asked) is not None,
        moment=_MOMENT_ASKED.search(asked) is not None,
        colour=_COLOUR_ASKED.search(asked) is not None,
        telephone=_TELEPHONE_ASKED.search(asked) is not None,
        person=_PERSON_ASKED.search(asked) is not None,
    )


_ARTICLES: Final = frozenset("un una uno une um uma ein eine einen einem einer eines".split())  # noqa: SIM905 - read as words


def _amount(question: Question, wanted: _Wanted, text: str) -> bool:
    """Whether a word of the text is an amount. An article is one only before the counted noun, and "no" only in English,
    because it begins sentences in Spanish."""
    for found in _AMOUNT.finditer(text):
        word = found[0].lower()
        if word == "no" and question.language != "en":
            continue
        following = fold(text[found.end() : found.end() + 2 * _ROOT].strip())
        # "una vez" answers a question for "veces": two letters are compared, because plurals change the end of a word
        if word not in _ARTICLES or wanted.counted is None or following[:2] == wanted.counted[:2]:
            return True
    return False


def fits_answer_type(question: Question, text: str) -> bool:
    """Whether a piece contains an answer of the type that the question needs, and anything beyond the question's own words."""
    wanted = _wanted(question.text)
    if not _adds(question, text):
        return False
    if not _in_same_script(wanted, text):
        return False
    if wanted.amount and not (
        numbers_in(text) - wanted.numbers or _amount(question, wanted, text) or (wanted.lasting and _MOMENT.search(text))
    ):
        return False
    if wanted.moment and not (numbers_in(text) or _MOMENT.search(text)):
        return False
    if any(not unit.search(text) for unit in wanted.units) or not _counts(wanted, text):
        return False
    if wanted.colour and not _COLOUR.search(text):
        return False
    if wanted.telephone and not _TELEPHONE.search(text):
        return False
    return not (wanted.person and question.language in ("en", "fr", "es", "ru") and not _names_someone(question, text))


_COUNTED: Final = re.compile(
    r"(?:\bhow many|\bwie ?viele|\bcu[áa]nt[oa]s|\bcombien (?:de |d['’])|\bcombien d'|сколько|كم(?: عدد)?)\s*+([^\W\d_]+)",
    re.IGNORECASE,
)
_OF: Final = frozenset("of from de du des d von aus из от من di dei degli delle".split())  # noqa: SIM905 - read as words
_TOKEN: Final = re.compile(r"[^\W_]+")
_NEAR: Final = 4  # tokens


def _counts(wanted: _Wanted, text: str) -> bool:
    """Whether a number in the text may count the noun that was asked for: "seventeen members of
    the residents" does not count residents."""
    if wanted.counted is None:
        return True
    tokens = _TOKEN.findall(text)
    places = [place for place, token in enumerate(tokens) if fold(token).startswith(wanted.counted)]
    numbers = [
        place for place, token in enumerate(tokens) if numbers_in(token) or _AMOUNT.fullmatch(token) or _ARABIC.match(token)
    ]
    if not places or any(place < number <= place + 2 * _NEAR for place in places for number in numbers):
        return True
    before = [(number, place) for place in places for number in numbers if place - _NEAR <= number < place]
    return not before or any(not _OF & set(map(str.lower, tokens[number + 1 : place])) for number, place in before)


def _in_same_script(wanted: _Wanted, text: str) -> bool:
    """Whether the text has letters in the question's script. Across scripts words alone are weak
    evidence, so other texts are refused."""
    return not wanted.scripts or not wanted.scripts.isdisjoint(_script(letter) for letter in text if letter.isalpha())


@lru_cache(4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "CJK", "HALFWIDTH") else "LATIN" if name == "FULLWIDTH" else name


def _adds(question: Question, text: str) -> bool:
    said, own = words_of(question.text), words_of(_KEY.sub("", text))
    known = FUNCTION_WORDS.get(question.language, frozenset())
    return bool(own.folded - said.folded - known) or bool(own.terms - said.terms - known)


def _names_someone(question: Question, text: str) -> bool:
    said = words_of(question.text).folded
    return (
        _PERSON.search(text) is not None
        or _OF_PEOPLE.search(text) is not None
        or any(not words_of(name).folded <= said for name in _NAME.findall(_HEADS.sub(", ", text)))
    )
