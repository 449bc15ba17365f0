"""Whether a disclosure grant covers history: ended licences and earlier versions."""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody said that grants of before cover it, so they do not.
    op.execute(
        "ALTER TABLE license_registry.disclosure_grant ADD COLUMN history boolean NOT NULL DEFAULT false"
    )
