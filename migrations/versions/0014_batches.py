"""Batches of questions: what was asked, the subjects that wait, sealed, and the results, sealed to who asked."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BATCHES = """
CREATE TABLE exchange.batch (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    department text NOT NULL,
    key text NOT NULL,
    digest bytea NOT NULL,
    mode text NOT NULL,
    resource text NOT NULL,
    fields text[] NOT NULL,
    claims jsonb NOT NULL,
    matter text NOT NULL,
    case_number text NOT NULL,
    recipient jsonb NOT NULL,
    form text NOT NULL,
    columns text[] NOT NULL,
    state text NOT NULL,
    problem text,
    rows bigint NOT NULL,
    parts integer NOT NULL,
    part_rows integer NOT NULL,
    next_part integer NOT NULL,
    answered bigint NOT NULL,
    unknown bigint NOT NULL,
    malformed bigint NOT NULL,
    refused bigint NOT NULL,
    records bigint NOT NULL,
    first_record uuid,
    last_record uuid,
    first_at timestamptz,
    last_at timestamptz,
    grants uuid[] NOT NULL,
    sources text[] NOT NULL,
    worked_ms bigint NOT NULL,
    lease_holder uuid,
    lease_until timestamptz,
    resume_at timestamptz,
    statement text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    finished_at timestamptz,
    expires_at timestamptz NOT NULL,
    UNIQUE (client_id, key)
);
CREATE INDEX batch_open ON exchange.batch (changed_at) WHERE state IN ('accepted', 'running', 'paused');
CREATE INDEX batch_expiry ON exchange.batch (expires_at) WHERE state <> 'expired';

CREATE TABLE exchange.batch_lines (
    batch_id uuid NOT NULL REFERENCES exchange.batch (id),
    part integer NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (batch_id, part)
);
-- Sealed bytes do not become smaller.
ALTER TABLE exchange.batch_lines ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE exchange.batch_result (
    batch_id uuid NOT NULL REFERENCES exchange.batch (id),
    part integer NOT NULL,
    digest bytea NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (batch_id, part)
);
ALTER TABLE exchange.batch_result ALTER COLUMN sealed SET STORAGE EXTERNAL;
"""


def upgrade() -> None:
    op.execute(BATCHES)
