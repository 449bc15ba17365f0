"""Who is new in a register, for subscriptions."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE exchange.register_addition (
            register text NOT NULL,
            sequence bigint NOT NULL,
            subjects bytea NOT NULL,
            added_at timestamptz NOT NULL,
            PRIMARY KEY (register, sequence)
        )
        """
    )
    # Keyed digests: nothing of them would become smaller.
    op.execute("ALTER TABLE exchange.register_addition ALTER COLUMN subjects SET STORAGE EXTERNAL")
