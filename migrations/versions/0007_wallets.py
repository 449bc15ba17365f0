"""Wallets: offers, tokens, used nonces, requests to present."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WALLETS = """
CREATE TABLE license_registry.wallet_offer (
    code_digest bytea PRIMARY KEY,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    presenter bytea NOT NULL,
    pin_digest bytea,
    tries_left integer NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE TABLE license_registry.wallet_token (
    token_digest bytea PRIMARY KEY,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    presenter bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE TABLE license_registry.wallet_nonce (
    nonce_digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX wallet_nonce_expires_at ON license_registry.wallet_nonce (expires_at);
CREATE TABLE license_registry.wallet_request (
    id text PRIMARY KEY,
    client_id text NOT NULL,
    department text NOT NULL,
    licence_type text NOT NULL,
    fields text[] NOT NULL,
    purpose text NOT NULL,
    matter text NOT NULL,
    "case" text NOT NULL,
    nonce text NOT NULL,
    expires_at timestamptz NOT NULL,
    answered_at timestamptz,
    sealed bytea
);
"""


def upgrade() -> None:
    op.execute(WALLETS)
