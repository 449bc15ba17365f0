"""Search of the catalogue as people type: a part of a name, its pinyin or the first letters of that, another word for
it, English.

All in memory. What is typed is looked for in titles, synonyms, themes, owners and field titles; each of these is also
known by its full pinyin and by the initials. Where nothing holds the words themselves, resources that share pairs of
characters with them are given, so that 企业登记的基本信息 still finds 法人基础信息.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources as files

import orjson
from pypinyin import Style, lazy_pinyin

from exchange.catalog.resource import Resource

LIMIT = 50

# How much a hit counts, by where it is found. A field says less of a resource than its title.
_ID, _TITLE, _SYNONYM, _THEME, _OWNER, _FIELD = 100.0, 100.0, 80.0, 50.0, 30.0, 40.0
_WHOLE, _BEGINNING, _WORD, _PART = 1.0, 0.8, 0.7, 0.5
_BY_PINYIN, _BY_OTHER_WORD, _BY_PAIRS = 0.6, 0.7, 0.3
_FEWEST_PAIRS = 0.34
_LATIN = re.compile(r"[a-z0-9._ -]+")


@dataclass(frozen=True, slots=True)
class Hit:
    """A resource that fits, how well (higher is better), and the text that fitted best."""

    resource: Resource
    score: float
    matched: str


@dataclass(frozen=True, slots=True)
class _Term:
    """A text of a resource in the forms that it is found by."""

    weight: float
    shown: str
    text: str
    pinyin: str
    initials: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A resource with its terms; `everything` holds all forms of them, so that most resources are passed by at once."""

    resource: Resource
    terms: tuple[_Term, ...]
    everything: str
    pairs: frozenset[str]


class Index:
    """Remembers the terms of the resources that were searched; of a later catalogue, only what differs is read anew."""

    def __init__(self) -> None:
        self._built: tuple[Mapping[str, Resource], dict[str, _Entry]] = ({}, {})

    def search(self, catalogue: Mapping[str, Resource], query: str, limit: int = LIMIT) -> list[Hit]:
        """Return what fits all words of a query, the best first; of equal ones, by id.

        Args:
            catalogue: a mapping that is never altered, only replaced.
        """
        words = _normal(query).split()
        if not words:
            return []
        entries = self._entries(catalogue).values()
        hits = _best(entries, [_forms(word) for word in words])
        if len(words) > 1:
            # A phrase in Latin letters may stand among the synonyms as a whole: `legal entity`.
            for name, hit in _best(entries, [_forms(" ".join(words))]).items():
                if name not in hits or hits[name].score < hit.score:
                    hits[name] = hit
        if not hits:
            hits = _similar(entries, "".join(words))
        return sorted(hits.values(), key=lambda hit: (-hit.score, hit.resource.id))[:limit]

    def _entries(self, catalogue: Mapping[str, Resource]) -> dict[str, _Entry]:
        # Both parts in one tuple: several threads may be here, and each takes what fits together.
        of, built = self._built
        if of is not catalogue:
            known = built
            built = {
                name: known[name] if name in known and known[name].resource is resource else _entry(resource)
                for name, resource in catalogue.items()
            }
            self._built = (catalogue, built)
        return built


Form = tuple[str, float]


def _best(entries: Iterable[_Entry], asked: Sequence[Sequence[Form]]) -> dict[str, Hit]:
    found = {}
    for entry in entries:
        total, best = 0.0, (0.0, "")
        for forms in asked:
            # A look at everything first: nearly all resources hold none of it.
            likely = [form for form in forms if form[0] in entry.everything]
            score = max((_score(entry, form) for form in likely), default=(0.0, ""))
            if not score[0]:
                break
            total, best = total + score[0], max(best, score)
        else:
            found[entry.resource.id] = Hit(entry.resource, round(total / len(asked), 3), best[1])
    return found


def _score(entry: _Entry, form: Form) -> tuple[float, str]:
    word, share = form
    latin = _LATIN.fullmatch(word) is not None
    return max((term.weight * share * _fit(term, word, latin=latin), term.shown) for term in entry.terms)


def _fit(term: _Term, word: str, *, latin: bool) -> float:
    best = _place(term.text, word, latin=latin)
    if latin and term.pinyin:
        # Initials are found anywhere; of full pinyin, a part in the middle of a syllable would be chance.
        best = max(best, _BY_PINYIN * _place(term.initials, word), _BY_PINYIN * _syllables(term.pinyin, word))
    return best


def _place(text: str, word: str, *, latin: bool = False) -> float:
    if word not in text:
        return 0.0
    if text == word:
        return _WHOLE
    if text.startswith(word):
        return _BEGINNING
    if not latin:
        return _PART
    return _WORD if re.search(rf"(?<![a-z0-9]){re.escape(word)}", text) else 0.0


def _syllables(pinyin: str, word: str) -> float:
    """Return how well letters fit pinyin whose syllables are set apart by spaces; they begin where a syllable does."""
    whole = pinyin.replace(" ", "")
    if word not in whole:
        return 0.0
    if whole == word:
        return _WHOLE
    if whole.startswith(word):
        return _BEGINNING
    begin = 0
    for syllable in pinyin.split():
        if whole.startswith(word, begin):
            return _PART
        begin += len(syllable)
    return 0.0


def _similar(entries: Iterable[_Entry], word: str) -> dict[str, Hit]:
    asked = _pairs(word)
    found: dict[str, Hit] = {}
    if not asked:
        return found
    for entry in entries:
        common = len(asked & entry.pairs) / len(asked)
        if common >= _FEWEST_PAIRS:
            found[entry.resource.id] = Hit(
                entry.resource, round(_TITLE * _BY_PAIRS * common, 3), entry.resource.title
            )
    return found


def _entry(resource: Resource) -> _Entry:
    texts = [
        (_ID, resource.id),
        (_TITLE, resource.title),
        (_TITLE, resource.title_en),
        *((_SYNONYM, each) for each in resource.synonyms),
        (_OWNER, resource.owner),
        *((_FIELD, text) for each in resource.details.values() for text in (each.title, each.title_en)),
    ]
    if resource.theme is not None:
        texts.append((_THEME, resource.theme))
    terms = tuple(_Term(weight, text, *_spoken(text)) for weight, text in texts)
    everything = "\n".join(
        part
        for term in terms
        for part in dict.fromkeys((term.text, term.pinyin.replace(" ", ""), term.initials))
    )
    pairs = frozenset(pair for weight, text in texts if weight >= _SYNONYM for pair in _pairs(_normal(text)))
    return _Entry(resource, terms, everything, pairs)


@lru_cache(maxsize=200_000)
def _spoken(text: str) -> tuple[str, str, str]:
    """Return the normal form of a text, its pinyin in syllables and its initials, both empty without Chinese."""
    normal = _normal(text)
    if normal.isascii():
        return normal, "", ""
    syllables = [each for each in lazy_pinyin(normal, style=Style.NORMAL) if each.strip()]
    return normal, " ".join(syllables), "".join(each if each.isdigit() else each[0] for each in syllables)


def _forms(word: str) -> list[Form]:
    """Return a word and what else is said for it, each with how much a hit by it counts."""
    forms: dict[str, float] = {word: 1.0}
    for group in _synonyms():
        for known in group:
            if known == word or (len(known) > 1 and not known.isascii() and known in word):
                for other in group:
                    forms.setdefault(word.replace(known, other), _BY_OTHER_WORD)
    return list(forms.items())


@cache
def _synonyms() -> tuple[tuple[str, ...], ...]:
    groups = orjson.loads((files.files("schemas") / "catalogue" / "synonyms.json").read_bytes())
    return tuple(tuple(_normal(each) for each in group) for group in groups)


def _pairs(text: str) -> frozenset[str]:
    together = [text[at : at + 2] for at in range(len(text) - 1)]
    return frozenset(pair for pair in together if not pair.isascii())


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
