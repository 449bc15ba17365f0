"""Deliveries that were late."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MISSED = """
CREATE TABLE exchange.missed_deadline (
    source text NOT NULL,
    run text NOT NULL,
    minutes integer NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (source, run)
);
"""


def upgrade() -> None:
    op.execute(MISSED)
