"""People answer to benefits that they were told of; departments keep lists, and see whom their entries are about."""

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

LISTS = """
CREATE TABLE exchange.entry_list (
    kind text PRIMARY KEY,
    title text NOT NULL,
    title_en text NOT NULL,
    department text NOT NULL,
    legal_basis text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL
);
CREATE TABLE exchange.listed_entry (
    entry uuid PRIMARY KEY REFERENCES exchange.entry (id),
    subject_kind text NOT NULL,
    sealed bytea NOT NULL
);
"""


def upgrade() -> None:
    op.execute(ANSWERS)
    op.execute(LISTS)
