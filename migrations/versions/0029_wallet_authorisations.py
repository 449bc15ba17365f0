"""Wallets that come by themselves: authorisations from the pushed request to the code."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE license_registry.wallet_authorisation (
    id uuid PRIMARY KEY,
    handle_digest bytea NOT NULL UNIQUE,
    step text NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    token_digest bytea
);
ALTER TABLE license_registry.wallet_token ADD COLUMN by_identifier boolean NOT NULL DEFAULT false;
"""
    )
