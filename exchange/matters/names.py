"""Names of materials as departments publish them, made comparable: one paper, one name.

`《食品经营许可证》副本复印件（1份）` and `食品经营许可证` are the same paper. What says how it is to be brought, a
copy or the original and how many, goes; what says which paper it is stays. The published name is kept beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_COPY = (
    r"(?:原件|复印件|扫描件|影印件|彩印件|电子件|电子版|电子文档|电子扫描件|打印件|纸质版|纸质件|正本|副本|正副本"
    r"|原件彩色扫描件|彩色扫描件|复印|原件照片|盖章电子件)"
)
_COUNT = (
    r"(?:[一二两三四五六七八九十\d]+(?:份|张|套|页|本)|一式[一二两三四五六七八九十\d]+份|各[一二两三\d]+份)"
)
_HOW = (
    rf"(?:{_COPY}|{_COUNT}|正反面|核?验|核|验后退回|盖章|加盖公章|需?提供|交|留存|收"
    r"|及|和|或|、|,|/|的|\s|各)"
)

_CIRCLED = re.compile(r"^\s*[①-⑳㈠-㈩⑴-⒇]\s*(?=\S)")
_UPLOADED = re.compile(r"^(?:扫描上传|上传|请?提交|提供)(?=\S{2})")
_NUMBERED = re.compile(
    r"^(?:\(?[一二三四五六七八九十]{1,3}[、.)]|\(\d{1,2}\)|\d{1,2}[、)]|\d{1,2}\.(?!\d))\s*(?=\S)"
)
_FORM_NUMBER = re.compile(r"^[A-Z]\d{4,6}(?=《)")
_TITLE_MARKS = re.compile("[《》〈〉<>“”\"‘’']")
_BRACKETED_HOW = re.compile(
    rf"[(\[【〔]{_HOW}{{0,8}}{_COPY}{_HOW}{{0,8}}[)\]】〕]|[(\[【〔]{_HOW}{{0,8}}{_COUNT}{_HOW}{{0,8}}[)\]】〕]|[(]正反面[)]"
)
_COPIES = re.compile(rf"{_COPY}(?:(?:及|和|或|、|/)(?:其)?{_COPY})+")
_INNER_COPY = re.compile(rf"(?<=\S)的?{_COPY}{_COUNT}?(?=或者|或|以及|及|和|与|、|/|$)")
_TRAILING_COUNT = re.compile(rf"(?<=\S),?各?{_COUNT}$")
_EDGES = re.compile(r"^[\s,;:、.。;·_-]+|[\s,;:、.。·_-]+$")
_BLANKS = re.compile(r"_{2,}|\s+")
_NOTE = re.compile(r"[(\[【〔]([^()\[\]【】〔〕]*)[)\]】〕]")

_ALTERNATIVE = re.compile(r"或者|或|/")
_TOGETHER = re.compile(r"以及|及|和|与|、")
_PAPER = re.compile(
    r"(?:证|证书|证件|证明|证明书|执照|簿|本|卡|册|护照|委托书|批文|批复|许可|存折|发票|凭证|凭据|合同|协议|通行证|文书)(?:信息)?$"
)
_BARE = frozenset(
    {
        "证",
        "证书",
        "证件",
        "证明",
        "证明书",
        "合同",
        "协议",
        "凭证",
        "凭据",
        "文书",
        "许可",
        "发票",
        "本",
        "卡",
        "其他证件",
    }
)


class Joined(StrEnum):
    """How the parts of a name stand to each other."""

    ONE = "one"
    ANY = "any_of"
    ALL = "all_of"


@dataclass(frozen=True, slots=True)
class MaterialName:
    """A normalised name.

    Args:
        text: the whole of it; never empty, and normalising it again changes nothing.
        parts: names of single papers, normalised in turn; the text itself where it is one paper, or where it is
            not certain that it is several.
        joined: whether one of the parts suffices or all are asked for.
    """

    text: str
    parts: tuple[str, ...]
    joined: Joined


def normalised(published: str) -> MaterialName:
    """Normalise a name as published.

    Raises:
        ValueError: there is nothing visible in it.
    """
    text = _settled(published)
    if not text:
        raise ValueError("a name needs a visible character")
    joined, parts = _parts(text)
    return MaterialName(text, tuple(dict.fromkeys(_settled(part) for part in parts)), joined)


def without_notes(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a normalised name without what stands in brackets, and that."""
    notes = tuple(note for note in _NOTE.findall(text) if note)
    bare = _EDGES.sub("", _NOTE.sub("", text))
    return (bare or text), notes


def _settled(text: str) -> str:
    # Taking one thing off may bring another to the edge: what comes out is what no step changes any more.
    while (changed := _step(text)) != text:
        text = changed
    return text


def _step(text: str) -> str:
    for pattern, instead in (
        (_CIRCLED, ""),
        (None, ""),
        (_BLANKS, ""),
        (_NUMBERED, ""),
        (_UPLOADED, ""),
        (_FORM_NUMBER, ""),
        (_TITLE_MARKS, ""),
        (_BRACKETED_HOW, ""),
        (_COPIES, "复印件"),
        (_INNER_COPY, ""),
        (_TRAILING_COUNT, ""),
        (_EDGES, ""),
    ):
        changed = unicodedata.normalize("NFKC", text) if pattern is None else pattern.sub(instead, text)
        # A name that is nothing but its mark, such as 原件, keeps it.
        text = changed or text
    return _visible(text)


def _visible(text: str) -> str:
    return "".join(
        c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp", "Zs"}
    )


def _parts(text: str) -> tuple[Joined, list[str]]:
    """Split where it is certain: each part is a paper by its last word, and the connectives agree."""
    outside = _masked(text)
    alternatives = list(_cut(text, outside, _ALTERNATIVE))
    together = list(_cut(text, outside, _TOGETHER))
    if len(alternatives) > 1:
        # In 甲、乙或丙 the comma is an 或 as well; 和 or 及 beside 或 may be read in two ways.
        listed = [part for piece in alternatives for part in _cut(piece, _masked(piece), re.compile("、"))]
        if _are_papers(listed) and not any(
            len(list(_cut(each, _masked(each), _TOGETHER))) > 1 for each in listed
        ):
            return Joined.ANY, listed
    elif len(together) > 1 and _are_papers(together):
        # The reading that asks for more: if one would do, nobody is let off too easily.
        return Joined.ALL, together
    return Joined.ONE, [text]


def _are_papers(parts: list[str]) -> bool:
    return all(
        _PAPER.search(bare := without_notes(part)[0]) and bare not in _BARE and "的" not in bare
        for part in parts
    )


def _masked(text: str) -> str:
    """Put blanks in place of what stands in brackets, so that nothing is found there."""
    return _NOTE.sub(lambda found: " " * len(found.group()), text)


def _cut(text: str, outside: str, between: re.Pattern[str]) -> Iterator[str]:
    start = 0
    for found in between.finditer(outside):
        yield text[start : found.start()]
        start = found.end()
    yield text[start:]
