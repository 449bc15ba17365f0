"""Blinding the subjects of a part together: what `canonical_subject` and the vault do one by one, by the column."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.queries.authorise import SubjectMalformed, canonical_subject
from foundation.identifiers.bulk import UsccVerdict, Verdict, check_citizen_ids, check_usccs
from foundation.sensitive import Vault


def blind_subjects(kind: str, texts: Sequence[str], vault: Vault) -> list[bytes | SubjectMalformed]:
    """Return for each identifier its blind index, or what is wrong with it.

    Args:
        kind: as for `canonical_subject`, with which this agrees text by text.
    """
    usual = _usual(kind, texts)
    blind = vault.blinder(kind)
    return [
        blind(text if kind == "uscc" else text.upper()) if fine else _one_by_one(kind, text, vault)
        for text, fine in zip(texts, usual, strict=True)
    ]


def _usual(kind: str, texts: Sequence[str]) -> list[bool]:
    usual = [False] * len(texts)
    if kind == "citizen-id":
        usual = (check_citizen_ids(texts) == Verdict.OK).tolist()
    elif kind == "uscc":
        usual = (check_usccs(texts) == UsccVerdict.OK).tolist()
    return usual


def _one_by_one(kind: str, text: str, vault: Vault) -> bytes | SubjectMalformed:
    try:
        return vault.blind_index(*canonical_subject(kind, text))
    except SubjectMalformed as error:
        return error
