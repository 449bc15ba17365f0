"""Packages and cases from before there were tables for them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import psycopg
from alembic import command

from foundation import database
from foundation.identity.principals import Principal, Role
from license_registry.audit.event import happened
from tests.conftest import fresh_database

NOW = datetime(2025, 6, 30, 4, 0, tzinfo=UTC)


def test_packages_of_before_are_scrubbed_and_closed_cases_of_before_are_packed(server_address: str) -> None:
    archivist = Principal("zhengtong-archive", "", frozenset({Role.OPERATOR}))
    with fresh_database(server_address, "template1") as address:
        command.upgrade(database._alembic(address), "0020")
        with psycopg.connect(address, autocommit=True) as connection:
            for licence in ("1.2.3", "1.2.4"):
                event = happened(
                    "archived",
                    licence,
                    archivist,
                    NOW,
                    matter="m",
                    case="c",
                    object_key="k",
                    sha256="ab" * 32,
                )
                connection.execute(
                    "INSERT INTO license_registry.event (id, identifier, kind, recorded_at, entry, salt, content)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                    [event.id, licence, event.kind, NOW, event.entry, event.salt, event.content],
                )
            connection.execute(
                "INSERT INTO license_registry.event (id, kind, recorded_at, entry) VALUES (%s, 'archived', %s, 'e')",
                [uuid.uuid4(), NOW],  # erased by law
            )
            connection.execute(
                "INSERT INTO exchange.case_outcome VALUES (%s, 'd', 'cl', 'm', 'c', 'granted', '2025-06-30', 'a', %s)",
                [uuid.uuid4(), NOW],
            )
        database.migrate(address)
        with psycopg.connect(address) as connection:
            kept = connection.execute(
                "SELECT object_key, department, matter, case_ref, sha256, sm3, made_at FROM license_registry.archive"
            ).fetchall()
            assert kept == [("k", "", "m", "c", b"\xab" * 32, None, NOW)]
            waiting = connection.execute("SELECT state, edition FROM exchange.case_archive").fetchall()
            assert waiting == [("waiting-for-log", 1)]
