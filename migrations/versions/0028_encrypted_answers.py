"""The key, sealed, that a wallet encrypts its answer to."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE license_registry.wallet_request ADD COLUMN response_key bytea")
