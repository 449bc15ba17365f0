"""Hiding parts of claims behind digests, and filling in again what is disclosed (RFC 9901 §4.2, §7.1 step 3).

Parts are members of objects and elements of arrays, at any depth, also one within the other (recursive disclosures).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from foundation.language import _
from foundation.signing import decode_all, encode_base64url
from license_registry.credentials.errors import CredentialInvalid

Path = tuple[str | int, ...]
"""Where a part stands: names of members and places of elements, from the top."""

DEEPEST: Final = 100
"""Levels of objects, arrays and disclosures within each other that are read."""
SALT_BYTES: Final = 18
"""At least 16 (RFC 9901 §9.3); 18 are whole groups of base64."""
_SALT_CHARACTERS: Final = SALT_BYTES * 4 // 3
_CONTAINERS: Final = (dict, list)
_NO_DIGESTS: Final[list[Any]] = []
DIGEST_ALGORITHM: Final = "sha-256"
RESERVED: Final = frozenset({"_sd", "_sd_alg", "..."})
"""Names that say where digests stand and never name a claim (RFC 9901 §4.1, §4.2.1)."""

_DIGESTS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
}


class Unfolded(NamedTuple):
    """Claims with what is disclosed filled in.

    Args:
        clear: members of the top that the issuer signed in clear.
        disclosed: members of the top that stand there by a disclosure.
        hidden: digests for which nothing is disclosed; decoys count too.
    """

    clear: dict[str, Any]
    disclosed: dict[str, Any]
    hidden: int


@dataclass(slots=True)
class _Part:
    hidden: bool
    within: dict[str | int, _Part]


def digest_of(text: str, algorithm: str) -> str:
    """Return the digest over the ASCII bytes of a text, in base64url (RFC 9901 §4.2.3).

    Raises:
        CredentialInvalid: `_sd_alg` names an algorithm that is not taken here.
    """
    return encode_base64url(_digest_maker(algorithm)(text.encode("ascii")).digest())


def _digest_maker(algorithm: object) -> Callable[[bytes], Any]:
    make = _DIGESTS.get(algorithm) if isinstance(algorithm, str) else None
    if make is None:
        raise CredentialInvalid(_("the digest algorithm is not known"))
    return make


def _digests_of(disclosures: Collection[str], make: Callable[[bytes], Any]) -> list[str]:
    """Return the digests of all disclosures, spelled in one go: each filled up to whole groups of base64."""
    if not disclosures:
        return []
    digests = [make(text).digest() for text in "~".join(disclosures).encode("ascii").split(b"~")]
    size = len(digests[0])
    filling = bytes(-size % 3)
    spelled = encode_base64url(filling.join([*digests, b""]))
    width, length = (size + len(filling)) * 4 // 3, (size * 4 + 2) // 3
    return [spelled[at : at + length] for at in range(0, len(spelled), width)]


def conceal(
    claims: Mapping[str, Any], paths: Collection[Path], decoys: int = 0
) -> tuple[dict[str, Any], list[str]]:
    """Return the payload with digests in place of the parts named, and the disclosures.

    Digests of an object are sorted, so that their order tells nothing of the claims. A path within another hidden
    part makes its disclosure one that stands within that one's.

    Args:
        decoys: digests at the top that belong to nothing (§4.2.5).

    Raises:
        ValueError: a path leads nowhere, or a claim has a name of `RESERVED`.
    """
    tree = _Part(False, {})
    for path in paths:
        node = tree
        for part in path:
            node = node.within.setdefault(part, _Part(False, {}))
        node.hidden = True
    writing = _Writing(len(paths))
    payload: dict[str, Any] = writing.value(dict(claims), tree)
    if decoys:
        made = (encode_base64url(secrets.token_bytes(32)) for _decoy in range(decoys))
        payload["_sd"] = sorted([*payload.get("_sd", []), *made])
    if paths or decoys:
        payload["_sd_alg"] = DIGEST_ALGORITHM
    return payload, writing.disclosures


def conceal_members(
    claims: Mapping[str, Any], members: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the same as `conceal` for members of the top only, in less time.

    Raises:
        ValueError: a claim within has a name of `RESERVED`.
    """
    writing = _Writing(len(members))
    payload = {name: writing.value(value, None) for name, value in claims.items()}
    payload["_sd"] = sorted(
        [writing.disclose([name, writing.value(value, None)]) for name, value in members.items()]
    )
    payload["_sd_alg"] = DIGEST_ALGORITHM
    return payload, writing.disclosures


class _Writing:
    """One walk over claims: the disclosures made so far, and salts for those to come."""

    __slots__ = ("_salts", "disclosures")

    def __init__(self, count: int) -> None:
        # All salts at once: asking the system for randomness costs more than the rest of a disclosure.
        drawn = encode_base64url(secrets.token_bytes(SALT_BYTES * count))
        self._salts = [drawn[at : at + _SALT_CHARACTERS] for at in range(0, len(drawn), _SALT_CHARACTERS)]
        self.disclosures: list[str] = []

    def disclose(self, content: list[Any]) -> str:
        """Make a disclosure and return its digest."""
        disclosure = encode_base64url(orjson.dumps([self._salts.pop(), *content]))
        self.disclosures.append(disclosure)
        return encode_base64url(hashlib.sha256(disclosure.encode("ascii")).digest())

    def value(self, value: Any, tree: _Part | None) -> Any:
        """Return what stands in the payload for a value."""
        if isinstance(value, dict):
            return self._members(value, {} if tree is None else tree.within)
        if isinstance(value, list):
            return self._elements(value, {} if tree is None else tree.within)
        if tree is not None:
            _require_found(tree.within, ())
        return value

    def _members(self, found: dict[str, Any], within: Mapping[str | int, _Part]) -> dict[str, Any]:
        if not RESERVED.isdisjoint(found):
            raise ValueError(f"names that no claim may have: {sorted(RESERVED.intersection(found))}")
        _require_found(within, found)
        members: dict[str, Any] = {}
        digests = []
        for name, given in found.items():
            part = within.get(name)
            member = self.value(given, part)
            if part is not None and part.hidden:
                digests.append(self.disclose([name, member]))
            else:
                members[name] = member
        if digests:
            members["_sd"] = sorted(digests)
        return members

    def _elements(self, found: list[Any], within: Mapping[str | int, _Part]) -> list[Any]:
        _require_found(within, range(len(found)))
        elements: list[Any] = []
        for place, given in enumerate(found):
            part = within.get(place)
            element = self.value(given, part)
            if part is not None and part.hidden:
                element = {"...": self.disclose([element])}
            elements.append(element)
        return elements


def _require_found(wanted: Iterable[str | int], there: Collection[Any]) -> None:
    for part in wanted:
        if part not in there:
            raise ValueError(f"nothing stands at {part!r} that could be hidden")


def unfold(payload: dict[str, Any], disclosures: Sequence[str]) -> Unfolded:
    """Fill disclosures into a payload (RFC 9901 §7.1 steps 3 to 5) and take the digests out.

    Raises:
        CredentialInvalid: a disclosure that nothing refers to or that comes twice, a digest that stands twice, a
            disclosure of the wrong kind for its place, one that would overwrite a claim or has a name of
            `RESERVED`; digests that are malformed or stand where none may; too deep; an unknown `_sd_alg`.
    """
    algorithm = payload.get("_sd_alg", DIGEST_ALGORITHM)
    known = dict(zip(_digests_of(disclosures, _digest_maker(algorithm)), _contents(disclosures), strict=True))
    if len(known) != len(disclosures):
        raise CredentialInvalid(_("a disclosure stands twice"))
    reading = _Reading(known)
    if "_sd_alg" in payload:
        payload = {**payload}
        del payload["_sd_alg"]
    clear, disclosed = reading.members(payload, 0)
    if reading.used != len(known):
        raise CredentialInvalid(_("a disclosure belongs to nothing that was signed"))
    return Unfolded(clear, disclosed, len(reading.seen) - reading.used)


class _Reading:
    """One walk over a payload: digests seen so far, and for how many of them a disclosure stood ready."""

    __slots__ = ("known", "seen", "used")

    def __init__(self, known: Mapping[str, list[Any]]) -> None:
        self.known = known
        self.seen: set[str] = set()
        self.used = 0

    def value(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            clear, disclosed = self.members(value, depth)
            return {**clear, **disclosed} if disclosed else clear
        if isinstance(value, list):
            return self.elements(value, depth)
        return value

    def members(self, found: dict[str, Any], depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the members of an object that stand in clear, and those by disclosures."""
        if depth > DEEPEST:
            raise CredentialInvalid(_("it is nested too deeply"))
        clear = {**found}
        digests = clear.pop("_sd", _NO_DIGESTS)
        if not RESERVED.isdisjoint(clear):
            raise CredentialInvalid(_("the signed part holds a reserved claim"))
        for name, member in clear.items():
            if isinstance(member, _CONTAINERS):
                clear[name] = self.value(member, depth + 1)
        disclosed: dict[str, Any] = {}
        if digests is _NO_DIGESTS:
            return clear, disclosed
        for content in self.of(digests):
            if len(content) != 3 or not isinstance(content[1], str):
                raise CredentialInvalid(_("a disclosure is malformed"))
            _salt, name, member = content
            if name in RESERVED:
                raise CredentialInvalid(_("a disclosure has a reserved name"))
            if name in clear or name in disclosed:
                raise CredentialInvalid(_("a disclosure would overwrite a claim"))
            disclosed[name] = self.value(member, depth + 1) if isinstance(member, _CONTAINERS) else member
        return clear, disclosed

    def elements(self, found: list[Any], depth: int) -> list[Any]:
        """Return the elements of an array that stand in clear or are disclosed, in their order."""
        if depth > DEEPEST:
            raise CredentialInvalid(_("it is nested too deeply"))
        elements = []
        for element in found:
            if isinstance(element, dict) and "..." in element:
                if len(element) != 1:
                    raise CredentialInvalid(_("the signed part holds a reserved claim"))
                for content in self.of([element["..."]]):
                    if len(content) != 2:
                        raise CredentialInvalid(_("a disclosure is malformed"))
                    elements.append(self.value(content[1], depth + 1))
            else:
                elements.append(self.value(element, depth + 1))
        return elements

    def of(self, digests: object) -> list[list[Any]]:
        """Return the contents of the disclosures of digests that stand at one place, which are hereby used.

        Digests without one are of what stays hidden, or decoys.
        """
        if not isinstance(digests, list) or not {*map(type, digests)} <= {str}:
            raise CredentialInvalid(_("the list of digests is malformed"))
        before = len(self.seen)
        self.seen.update(digests)
        if len(self.seen) != before + len(digests):
            raise CredentialInvalid(_("a digest stands twice"))
        known = self.known
        shown = [known[digest] for digest in digests if digest in known]
        self.used += len(shown)
        return shown


def places(payload: Mapping[str, Any], disclosures: Sequence[str]) -> dict[Path, str]:
    """Return where each disclosure stands, for the holder who chooses among them; no signature is checked here.

    Places of array elements are those in the array as it was signed, hidden elements counted.
    """
    make = _digest_maker(payload.get("_sd_alg", DIGEST_ALGORITHM))
    pairs = zip(disclosures, _contents(disclosures), strict=True)
    known = dict(zip(_digests_of(disclosures, make), pairs, strict=True))
    found: dict[Path, str] = {}

    def show(digest: object, here: Path, of_member: bool) -> None:
        disclosure, content = known.pop(digest, (None, None)) if isinstance(digest, str) else (None, None)
        if disclosure is None or content is None or len(content) != 2 + of_member:
            return
        place = (*here, str(content[1])) if of_member else here
        found[place] = disclosure
        walk(content[-1], place)

    def walk(value: Any, here: Path) -> None:
        if len(here) > DEEPEST:
            raise CredentialInvalid(_("it is nested too deeply"))
        if isinstance(value, dict):
            for name, member in value.items():
                walk(member, (*here, name))
            digests = value.get("_sd", ())
            for digest in digests if isinstance(digests, list) else ():
                show(digest, here, of_member=True)
        elif isinstance(value, list):
            for place, element in enumerate(value):
                if isinstance(element, dict) and "..." in element:
                    show(element["..."], (*here, place), of_member=False)
                else:
                    walk(element, (*here, place))

    walk(payload, ())
    return found


def _contents(disclosures: Sequence[str]) -> list[list[Any]]:
    """Return what disclosures say: a salt, the name if it is of a member, the value.

    Raises:
        CredentialInvalid: one is not an array in JSON in base64url, or begins with no salt.
    """
    try:
        contents = [orjson.loads(decoded) for decoded in decode_all(disclosures)]
    except ValueError as error:
        raise CredentialInvalid(_("a disclosure is malformed")) from error
    for content in contents:
        if not isinstance(content, list) or not content or not isinstance(content[0], str):
            raise CredentialInvalid(_("a disclosure is malformed"))
    return contents
