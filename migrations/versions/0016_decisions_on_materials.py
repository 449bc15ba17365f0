"""What stewards decided on names of materials."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DECISIONS = """
CREATE TABLE exchange.material_decision (
    name text NOT NULL,
    evidence_type text NOT NULL,
    decision text NOT NULL,
    role text,
    reason text,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (name, evidence_type)
);
CREATE UNIQUE INDEX material_decision_confirmed ON exchange.material_decision (name) WHERE decision = 'confirmed';
"""


def upgrade() -> None:
    op.execute(DECISIONS)
