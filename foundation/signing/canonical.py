"""Canonical JSON by RFC 8785 (JCS), narrowed to what is safe to hash and sign: no fractions."""

from __future__ import annotations

from typing import Any, Final

import orjson

LARGEST_INTEGER: Final = 2**53 - 1
DEEPEST: Final = 200
"""How many objects and arrays may stand in one another."""

_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_SCALARS: Final = frozenset({str, int, bool, type(None)})


def canonical_json(value: Any) -> bytes:
    """Return the one spelling of a JSON value, in UTF-8 (RFC 8785 §3.2).

    Takes dict, list, tuple, str, int, bool and None, and subclasses of str and int such as enumerations.

    Raises:
        ValueError: a fraction, an integer beyond ±(2⁵³−1), a key that is not text, text with half a surrogate
            pair, nesting deeper than 200, or another type. The message names the place as a JSON Pointer
            (RFC 6901) and never the value.
    """
    if _is_usual(value, 1):
        try:
            return orjson.dumps(value, option=_OPTIONS)
        except TypeError:
            pass  # the long way says what is wrong and where
    return _spelled(value, "", 1).encode("utf-8")


def _is_usual(value: Any, depth: int) -> bool:
    # orjson writes RFC 8785 for the plain types, except that it takes fractions and sorts keys by code point,
    # not by UTF-16 unit. The two orders differ only where a key has a character beyond the surrogates.
    kind = type(value)
    if kind is dict:
        try:
            names = "".join(value)
        except TypeError:
            return False
        if not names.isascii() and max(names) >= "\ud800":
            return False
        members = value.values()
    elif kind is list or kind is tuple:
        members = value
    else:
        return kind in _SCALARS
    if _SCALARS.issuperset(map(type, members)):  # most are: this is the hot path, so no loop of ours
        return True
    for member in members:
        if type(member) in _SCALARS:
            continue
        if depth >= DEEPEST or not _is_usual(member, depth + 1):
            return False
    return True


def _spelled(value: Any, path: str, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise ValueError(f"integer beyond ±(2^53-1) at {path or 'the top'}")
        return int.__repr__(value)
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} at {path[:200]}")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"key that is not text at {path or 'the top'}")
        members = [
            (_units(key, path), _text(key, path), _spelled(member, f"{path}/{_escaped(key)}", depth + 1))
            for key, member in value.items()
        ]
        return "{" + ",".join(f"{name}:{member}" for _, name, member in sorted(members)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_spelled(item, f"{path}/{n}", depth + 1) for n, item in enumerate(value)) + "]"
    raise ValueError(f"{type(value).__name__} has no canonical form at {path or 'the top'}")


def _text(text: str, path: str) -> str:
    try:
        return orjson.dumps(str.__str__(text)).decode("utf-8")
    except TypeError as error:
        raise ValueError(f"text that is not Unicode at {path or 'the top'}") from error


def _units(key: str, path: str) -> bytes:
    try:
        return key.encode("utf-16-be")  # RFC 8785 §3.2.3
    except UnicodeEncodeError as error:
        raise ValueError(f"key that is not Unicode at {path or 'the top'}") from error


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
