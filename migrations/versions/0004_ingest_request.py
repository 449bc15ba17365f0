"""Batches that departments send themselves: what each was answered, so that sending it again is safe."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SENDING = """
CREATE TABLE exchange.ingest_request (
    client_id text NOT NULL,
    key text NOT NULL,
    source text NOT NULL,
    digest bytea NOT NULL,
    report jsonb NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, key)
);
"""


def upgrade() -> None:
    op.execute(SENDING)
