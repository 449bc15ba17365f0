"""Rows that wait can be read again: how their part was read; corrections by data stewards."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

QUARANTINE = """
ALTER TABLE exchange.quarantine ADD COLUMN part text NOT NULL DEFAULT '', ADD COLUMN layout jsonb;
CREATE TABLE exchange.correction (
    id uuid PRIMARY KEY,
    source text NOT NULL,
    digest bytea NOT NULL,
    run_id uuid NOT NULL,
    reason text NOT NULL,
    raw bytea NOT NULL,
    record bytea NOT NULL,
    edited_by text NOT NULL,
    edited_at timestamptz NOT NULL,
    edit_reason text NOT NULL
);
CREATE INDEX correction_source ON exchange.correction (source, edited_at);
"""


def upgrade() -> None:
    op.execute(QUARANTINE)
