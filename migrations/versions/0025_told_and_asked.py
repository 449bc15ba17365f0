"""Notices of wrong values by webhook, batches at live sources, and an end for what plans keep sealed."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# What was not acknowledged yet is due as soon as its system registers an address.
NOTICES = """
CREATE TABLE exchange.correction_address (
    client_id text PRIMARY KEY,
    url text NOT NULL,
    set_at timestamptz NOT NULL
);
ALTER TABLE exchange.correction_notice
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN delivered_at timestamptz,
    ADD COLUMN dead_at timestamptz,
    ADD COLUMN last_failure text;
UPDATE exchange.correction_notice SET next_attempt_at = created_at WHERE acknowledged_at IS NULL;
CREATE INDEX correction_notice_due ON exchange.correction_notice (client_id, next_attempt_at)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX correction_notice_dead ON exchange.correction_notice (dead_at) WHERE dead_at IS NOT NULL;
"""

BATCHES = """
ALTER TABLE exchange.batch
    ADD COLUMN live boolean NOT NULL DEFAULT false,
    ADD COLUMN unanswered bigint NOT NULL DEFAULT 0,
    ADD COLUMN missed bigint NOT NULL DEFAULT 0;
CREATE TABLE exchange.batch_live_answer (
    batch_id uuid NOT NULL REFERENCES exchange.batch (id),
    row integer NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (batch_id, row)
);
CREATE TABLE exchange.batch_missed (
    day date NOT NULL,
    client_id text NOT NULL,
    subjects bigint NOT NULL,
    PRIMARY KEY (day, client_id)
);
"""

FORGETTING = """
ALTER TABLE exchange.plan ALTER COLUMN sealed DROP NOT NULL;
CREATE INDEX plan_kept ON exchange.plan (made_at) WHERE sealed IS NOT NULL;
ALTER TABLE exchange.outbox ALTER COLUMN sealed DROP NOT NULL;
CREATE INDEX outbox_kept ON exchange.outbox (delivered_at) WHERE sealed IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(NOTICES)
    op.execute(BATCHES)
    op.execute(FORGETTING)
