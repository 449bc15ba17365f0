"""Registers that several sources speak for: contributions, provenance, parts of a source, cursors of their own."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REGISTER = """
ALTER TABLE exchange.{name} ADD COLUMN origin_part text NOT NULL DEFAULT '', ADD COLUMN provenance jsonb;
ALTER TABLE exchange.{name}_history ADD COLUMN origin_part text NOT NULL DEFAULT '', ADD COLUMN provenance jsonb;
CREATE TABLE exchange.{name}_contribution (
    subject bytea NOT NULL,
    source text NOT NULL,
    content jsonb NOT NULL,
    sealed bytea,
    fingerprint bytea NOT NULL,
    run_id uuid NOT NULL,
    origin_part text NOT NULL,
    origin_row bigint NOT NULL,
    transforms jsonb,
    valid_from timestamptz NOT NULL,
    PRIMARY KEY (subject, source)
);
"""

RUNS = """
ALTER TABLE exchange.ingest_cursor ADD COLUMN cursor text;
ALTER TABLE exchange.finding ADD COLUMN origin_part text NOT NULL DEFAULT '';
ALTER TABLE exchange.finding DROP CONSTRAINT finding_pkey;
ALTER TABLE exchange.finding ADD PRIMARY KEY (run_id, origin_part, origin_row, field, code);
"""

LINKS = """
CREATE TABLE exchange.link (
    register text NOT NULL,
    subject bytea NOT NULL,
    other bytea NOT NULL,
    kind text NOT NULL,
    score double precision NOT NULL,
    evidence jsonb NOT NULL,
    found_at timestamptz NOT NULL,
    decision text,
    decided_by text,
    decided_at timestamptz,
    PRIMARY KEY (register, subject, other)
);
"""


def upgrade() -> None:
    for name in ("person", "legal_entity", "credential"):
        op.execute(REGISTER.format(name=name))
    op.execute(RUNS)
    op.execute(LINKS)
