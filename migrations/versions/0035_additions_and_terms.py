"""Who is new in a register, for subscriptions; and terms after which what is sealed goes."""

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
    # What is sealed has a term of its own wherever it is kept.
    op.execute(
        """
        ALTER TABLE exchange.correction_report ALTER COLUMN sealed DROP NOT NULL;
        ALTER TABLE exchange.entitlement_found ALTER COLUMN sealed DROP NOT NULL;
        ALTER TABLE exchange.supervision_task ALTER COLUMN applicant DROP NOT NULL;
        CREATE INDEX correction_report_kept ON exchange.correction_report (reported_at) WHERE sealed IS NOT NULL;
        CREATE INDEX entitlement_found_kept ON exchange.entitlement_found (changed_at) WHERE sealed IS NOT NULL;
        CREATE INDEX supervision_task_kept ON exchange.supervision_task (made_at) WHERE applicant IS NOT NULL;
        CREATE INDEX outbox_dead ON exchange.outbox (dead_at) WHERE dead_at IS NOT NULL AND sealed IS NOT NULL;
        """
    )
