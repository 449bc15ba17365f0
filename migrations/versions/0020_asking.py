"""Entries about subjects, and looking for an entity's credentials by its code."""

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


def upgrade() -> None:
    op.execute(ENTRIES)
    op.execute(HOLDERS)
