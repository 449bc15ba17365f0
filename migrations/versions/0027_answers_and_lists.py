"""People answer to benefits that they were told of."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0025"
branch_labels = None
depends_on = None

# Whoever was told before was told of a benefit that needs no answer; it was given outside.
ANSWERS = """
ALTER TABLE exchange.entitlement_found
    ADD COLUMN told_at timestamptz,
    ADD COLUMN answer_until date,
    ADD COLUMN answered_at timestamptz,
    ADD COLUMN due_at timestamptz;
UPDATE exchange.entitlement_found SET told_at = changed_at, due_at = changed_at WHERE state = 'told';
"""


def upgrade() -> None:
    op.execute(ANSWERS)
