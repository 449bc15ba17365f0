"""Presenting: codes for several licences, signed codes, delegations."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CODES = """
ALTER TABLE license_registry.presentation
    ADD COLUMN further integer NOT NULL DEFAULT 0,
    ADD COLUMN agent bytea,
    ADD COLUMN delegation uuid;
CREATE TABLE license_registry.presentation_part (
    code_digest bytea NOT NULL REFERENCES license_registry.presentation (code_digest),
    position integer NOT NULL,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    sealed bytea NOT NULL,
    PRIMARY KEY (code_digest, position)
);
CREATE TABLE license_registry.offline_use (
    code_id bytea PRIMARY KEY,
    identifier text NOT NULL,
    used_at timestamptz NOT NULL
);
"""

DELEGATIONS = """
CREATE TABLE license_registry.delegation (
    id uuid PRIMARY KEY,
    holder bytea NOT NULL,
    agent bytea NOT NULL,
    identifiers text[] NOT NULL,
    matter text NOT NULL,
    made_at timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    statement text NOT NULL,
    withdrawn_at timestamptz,
    withdrawal text
);
CREATE INDEX delegation_holder ON license_registry.delegation (holder);
CREATE INDEX delegation_agent ON license_registry.delegation (agent);
"""


def upgrade() -> None:
    op.execute(CODES)
    op.execute(DELEGATIONS)
