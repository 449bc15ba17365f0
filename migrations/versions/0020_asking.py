"""Entries about subjects; an entity's credentials by its code; misses of clients, and findings about them."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ENTRIES = """
CREATE TABLE exchange.entry (
    id uuid PRIMARY KEY,
    subject bytea NOT NULL,
    kind text NOT NULL,
    authority text NOT NULL,
    decided_on date NOT NULL,
    until date,
    sealed bytea NOT NULL,
    source text NOT NULL,
    added_at timestamptz NOT NULL,
    ended_on date
);
CREATE INDEX entry_subject ON exchange.entry (subject, kind);
CREATE INDEX entry_kind ON exchange.entry (kind);
"""

# Whose credentials name an entity's representative: asked by its code, which is no citizen ID and stands in clear.
HOLDERS = """
CREATE INDEX credential_holder ON exchange.credential ((content ->> 'holder_code'));
"""

FINDINGS = """
CREATE TABLE exchange.audit_finding (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    client text NOT NULL,
    since timestamptz NOT NULL,
    last timestamptz NOT NULL,
    count bigint NOT NULL,
    facts jsonb NOT NULL,
    noted timestamptz,
    noted_by text
);
CREATE UNIQUE INDEX audit_finding_open ON exchange.audit_finding (kind, client) WHERE noted IS NULL;
CREATE INDEX audit_finding_since ON exchange.audit_finding (since);
"""

MISSES = """
CREATE TABLE exchange.missed_subject (
    client_id text NOT NULL,
    hour timestamptz NOT NULL,
    subject bytea NOT NULL,
    PRIMARY KEY (client_id, hour, subject)
);
CREATE INDEX missed_subject_hour ON exchange.missed_subject (hour);
CREATE TABLE exchange.missed (
    hour timestamptz NOT NULL,
    client_id text NOT NULL,
    subjects integer NOT NULL,
    PRIMARY KEY (hour, client_id)
);
"""


def upgrade() -> None:
    op.execute(ENTRIES)
    op.execute(HOLDERS)
    op.execute(FINDINGS)
    op.execute(MISSES)
