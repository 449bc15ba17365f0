"""Wallets that prove to hold a key: tokens bound to it, and proofs that are good once."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE license_registry.wallet_proof (
    proof_digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX wallet_proof_expires_at ON license_registry.wallet_proof (expires_at);
ALTER TABLE license_registry.wallet_token ADD COLUMN bound_to text;
"""
    )
