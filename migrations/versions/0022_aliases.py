"""Other identifiers of subjects, and what they were."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

ALIASES = """
CREATE TABLE exchange.alias (
    alias bytea NOT NULL,
    subject bytea NOT NULL,
    basis text NOT NULL,
    register text NOT NULL,
    valid_from timestamptz NOT NULL,
    PRIMARY KEY (alias, subject, basis)
);
CREATE INDEX alias_subject ON exchange.alias (subject);
CREATE TABLE exchange.alias_history (
    alias bytea NOT NULL,
    subject bytea NOT NULL,
    basis text NOT NULL,
    register text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL
);
CREATE INDEX alias_history_subject ON exchange.alias_history (subject);
"""


def upgrade() -> None:
    op.execute(ALIASES)
