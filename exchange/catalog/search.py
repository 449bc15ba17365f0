"""Search of the catalogue as people type: a part of a name, its pinyin or the first letters of that, another word for
it, English.

All in memory. What is typed is looked for in titles, synonyms, themes, owners and field titles; each of these is also
known by its full pinyin and by the initials. Where nothing holds the words themselves, resources that share pairs of
characters with them are given, so that 企业登记的基本信息 still finds 法人基础信息.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources as files
from itertools import accumulate

import orjson

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


class Index:
    """Remembers the terms of the resources that were searched; of a later catalogue, only what differs is read anew."""

    def __init__(self) -> None:
        self._built = _Built({}, {})

    def search(self, catalogue: Mapping[str, Resource], query: str, limit: int = LIMIT) -> list[Hit]:
        """Return what fits all words of a query, the best first; of equal ones, by id.

        Args:
            catalogue: a mapping that is never altered, only replaced.
        """
        words = _normal(query).split()
        if not words:
            return []
        built = self._built
        if built.catalogue is not catalogue:
            # Several threads may be here: each goes on with what it built.
            built = self._built = _Built(catalogue, built.weighed)
        found = built.fitting(words)
        if len(words) > 1:
            # A phrase in Latin letters may stand among the synonyms as a whole: `legal entity`.
            for number, fit in built.fitting([" ".join(words)]).items():
                found[number] = max(fit, found.get(number, fit))
        if not found:
            found = built.similar("".join(words))
        hits = [
            Hit(built.resources[number], round(score, 3), built.texts[term])
            for number, (score, term) in found.items()
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.resource.id))[:limit]


Form = tuple[str, float]
Fit = tuple[float, int]
"""How well a resource fits, and the number of the text that it fits by."""


class _Corpus:
    """Texts in one string, a line each, so that finding a word in all of them is one scan.

    Args:
        begins: for each text, where its syllables begin; None where that matters not.
    """

    def __init__(self, texts: Sequence[str], begins: Sequence[frozenset[int]] | None = None) -> None:
        self._all = "\n".join(texts)
        self._begins = begins
        self._starts = list(accumulate((len(text) + 1 for text in texts), initial=0))

    def fits(self, word: str, *, latin: bool) -> Iterator[tuple[int, float]]:
        """Yield the number of each text that holds a word, and how well it does."""
        at = self._all.find(word)
        while at >= 0:
            number = bisect_right(self._starts, at) - 1
            start, following = self._starts[number], self._starts[number + 1]
            if at == start:
                yield number, _WHOLE if at + len(word) == following - 1 else _BEGINNING
            elif not self._may_begin(number, at, latin=latin):
                at = self._all.find(word, at + 1)
                continue
            else:
                yield number, _WORD if latin and self._begins is None else _PART
            at = self._all.find(word, following)

    def _may_begin(self, number: int, at: int, *, latin: bool) -> bool:
        if self._begins is not None:
            return at - self._starts[number] in self._begins[number]
        before = self._all[at - 1]
        # In the middle of an English word, letters are there by chance.
        return not (latin and before.isascii() and before.isalnum())


class _Built:
    """A catalogue ready to be searched.

    Args:
        known: texts of resources with their weights, as they were before.
    """

    def __init__(
        self,
        catalogue: Mapping[str, Resource],
        known: Mapping[str, tuple[Resource, tuple[tuple[float, str], ...]]],
    ) -> None:
        self.catalogue = catalogue
        self.resources = list(catalogue.values())
        self.weighed = {}
        numbers: dict[str, int] = {}
        self._postings: list[list[tuple[int, float]]] = []
        self._pairs: dict[str, set[int]] = {}
        for number, resource in enumerate(self.resources):
            before = known.get(resource.id)
            texts = before[1] if before is not None and before[0] is resource else _texts(resource)
            self.weighed[resource.id] = (resource, texts)
            for weight, text in texts:
                term = numbers.setdefault(text, len(numbers))
                if term == len(self._postings):
                    self._postings.append([])
                self._postings[term].append((number, weight))
                if weight >= _SYNONYM:
                    for pair in _pairs(_spoken(text)[0]):
                        self._pairs.setdefault(pair, set()).add(number)
        self.texts = list(numbers)
        spoken = [_spoken(text) for text in self.texts]
        self._titles = [numbers[each.title] for each in self.resources]
        self._written = _Corpus([normal for normal, _, _ in spoken])
        self._pinyin = _Corpus(
            ["".join(syllables) for _, syllables, _ in spoken],
            [frozenset(accumulate(map(len, syllables), initial=0)) for _, syllables, _ in spoken],
        )
        self._initials = _Corpus([initials for _, _, initials in spoken])

    def fitting(self, words: Sequence[str]) -> dict[int, Fit]:
        """Return the resources, by their numbers, that fit all of the words."""
        together: dict[int, Fit] | None = None
        for word in words:
            best = self._best(word)
            if together is None:
                together = best
            else:
                together = {
                    number: (together[number][0] + score, max(together[number], (score, term))[1])
                    for number, (score, term) in best.items()
                    if number in together
                }
        return {number: (score / len(words), term) for number, (score, term) in (together or {}).items()}

    def similar(self, word: str) -> dict[int, Fit]:
        """Return the resources whose titles or synonyms share enough pairs of characters with a word."""
        asked = _pairs(word)
        counted = Counter(number for pair in asked for number in self._pairs.get(pair, ()))
        return {
            number: (_TITLE * _BY_PAIRS * count / len(asked), self._titles[number])
            for number, count in counted.items()
            if count / len(asked) >= _FEWEST_PAIRS
        }

    def _best(self, word: str) -> dict[int, Fit]:
        terms: dict[int, float] = {}
        for form, share in _forms(word):
            latin = _LATIN.fullmatch(form) is not None
            fits = [(self._written.fits(form, latin=latin), share)]
            if latin:
                fits.append((self._pinyin.fits(form, latin=False), share * _BY_PINYIN))
                # Initials may begin anywhere: each of them is a syllable.
                fits.append((self._initials.fits(form, latin=False), share * _BY_PINYIN))
            for found, factor in fits:
                for term, fit in found:
                    if fit * factor > terms.get(term, 0.0):
                        terms[term] = fit * factor
        best: dict[int, Fit] = {}
        nothing = (0.0, 0)
        for term, fit in terms.items():
            for number, weight in self._postings[term]:
                if fit * weight > best.get(number, nothing)[0]:
                    best[number] = (fit * weight, term)
        return best


def _texts(resource: Resource) -> tuple[tuple[float, str], ...]:
    """Return what a resource is found by, each with how much a hit there counts."""
    texts = [
        (_TITLE, resource.title),
        (_TITLE, resource.title_en),
        (_ID, resource.id),
        *((_SYNONYM, each) for each in resource.synonyms),
        (_OWNER, resource.owner),
        *((_FIELD, text) for each in resource.details.values() for text in (each.title, each.title_en)),
    ]
    if resource.theme is not None:
        texts.append((_THEME, resource.theme))
    return tuple(texts)


@lru_cache(maxsize=200_000)
def _spoken(text: str) -> tuple[str, tuple[str, ...], str]:
    """Return the normal form of a text, its pinyin in syllables and its initials, both empty without Chinese."""
    normal = _normal(text)
    if normal.isascii():
        return normal, (), ""
    # Here and not above: its dictionaries take half a second, and most processes search for nothing.
    from pypinyin import Style, lazy_pinyin

    syllables = tuple(each.strip() for each in lazy_pinyin(normal, style=Style.NORMAL) if each.strip())
    return normal, syllables, "".join(each if each.isdigit() else each[0] for each in syllables)


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
