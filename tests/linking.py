"""A decision on a link between two identifiers, as `zhengtong link decide` makes it after a search found the two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import psycopg

from exchange.registers import links
from exchange.registers.links import Link
from foundation.identifiers import CitizenId
from foundation.sensitive.opening import open_vault
from tests.conftest import Service

FORMER = CitizenId.compute("990101", date(1980, 2, 28), 123).reveal()
"""What somebody was called by before."""


def decide(service: Service, register: str, pair: Sequence[bytes], decision: str) -> None:
    """Decide on two subjects by their blind indexes: `same` or `different`."""
    low, high = sorted(pair)
    with psycopg.connect(service.address) as connection:
        links.put(connection, register, [Link(low, high, "candidate", 0.9, {})], datetime.now(UTC))
        assert links.decide(connection, register, low, high, decision, "王五", datetime.now(UTC))


def decide_on_people(service: Service, one: str, other: str, decision: str) -> None:
    """The same, by citizen IDs."""
    vault = open_vault(service.settings, datetime.now(UTC))
    decide(service, "persons", [vault.blind_index("citizen-id", each) for each in (one, other)], decision)
