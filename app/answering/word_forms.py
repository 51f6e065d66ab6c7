"""English words of the same meaning in which questions and answers differ most often: irregular forms, which
no stemmer knows, and the most common pairs of plain and formal words. Each line is one meaning; finer
similarities are left to the embedding model. "Write" is in two lines: to write a command is to make one, but who wrote a book
is not who made something of its name."""

from __future__ import annotations

from typing import Final

from app.text.analysis import word_terms

_ALIKE: Final = """
administrator administrators admin admins
begin begins began begun start starts commence
bicycle bike
bill invoice
break broke broken
bring brought
build builds built
buy bought purchase
choose chooses chose chosen select
cost costs price priced fee charge
drive drove driven
drop drops dropped remove removed discontinue
elevator lift
flat apartment
end ends finish expire
find found
forget forgot forgotten
grind ground
grow grew grown
hand submit file lodge
hold holds held
keep keeps kept
know knew known
lend lent
lose lost
make makes made create write writes define
maximum most top
meet met
minimum least
pay pays paid payment
phone telephone
photo photograph picture
quote quotation
repair fix
retrieve fetch
sell sold
send sent
shut close
single individual
speak spoke spoken
spend spent
steal stole stolen
teach taught
trip journey
wear wore worn
whole entire complete
win won
write writes wrote written
"""


def _groups() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in _ALIKE.strip().splitlines():
        group = frozenset(term for word in line.split() for term in word_terms(word)[:1])
        for term in group:
            found[term] = found.get(term, frozenset()) | group
    return found


ALIKE: Final[dict[str, frozenset[str]]] = _groups()  # by index term
