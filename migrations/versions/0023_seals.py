"""Electronic seals: who has which, in which state, and the seal itself."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SEALS = """
CREATE TABLE license_registry.seal (
    id uuid PRIMARY KEY,
    authority text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    state_reason text,
    state_since timestamptz NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    made_at timestamptz NOT NULL,
    kid text NOT NULL,
    request_digest bytea NOT NULL,
    der bytea NOT NULL
);
CREATE INDEX seal_authority ON license_registry.seal (authority, made_at);
CREATE INDEX seal_in_use ON license_registry.seal (authority, kind) WHERE state = 'in-use';
"""


def upgrade() -> None:
    op.execute(SEALS)
