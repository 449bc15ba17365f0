"""The lines of rows that a live source answered: as those from the register, and the source's own answer inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.batches.batch import Mode, Question
from exchange.batches.prepare import Asked
from exchange.catalog.resource import Field
from exchange.grants.grant import Grant
from exchange.queries.live import disclosed
from exchange.queries.masking import hidden
from exchange.relaying.asked import Relayed, said_of_source
from exchange.relaying.source import LiveSource
from foundation.signing import canonical_json


@dataclass(frozen=True, slots=True)
class FromSource:
    """What a live source answered to a row."""

    source: LiveSource
    relayed: Relayed


def live_line(
    question: Question,
    asked: Asked,
    grant: Grant,
    said: FromSource,
    details: Mapping[str, Field],
    subject: Mapping[str, str],
) -> bytes:
    """Return the line of a row without its receipt: canonical JSON (RFC 8785).

    Args:
        subject: salted digest of the subject.
    """
    relayed = said.relayed
    line: dict[str, Any] = {"grant": str(grant.id), "row": asked.row.number, "subject": dict(subject)}
    concealed: frozenset[str] = frozenset()
    if question.mode is Mode.QUERY:
        concealed = hidden(question.fields, grant.clear_fields, details)
        shown = disclosed(relayed, concealed, details)
        line |= {
            "fields": list(question.fields),
            "found": shown.found,
            "values": shown.values,
            "masked": list(shown.masked),
        }
    else:
        line |= {"claims": dict(asked.said), "results": dict(relayed.results)}
    return canonical_json({**line, **said_of_source(said.source, relayed, concealed)})
