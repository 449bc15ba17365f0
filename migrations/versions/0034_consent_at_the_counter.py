"""Consent at the counter: codes that people make for a consent, and codes that were presented."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No matter of before says that a code may stand for the consent.
    op.execute(
        "ALTER TABLE exchange.plan_offer ADD COLUMN by_code boolean NOT NULL DEFAULT false,"
        " ADD COLUMN presented_at timestamptz"
    )
    op.execute(
        """
        CREATE TABLE exchange.consent_code (
            id uuid PRIMARY KEY,
            digest bytea NOT NULL UNIQUE,
            person bytea NOT NULL,
            department text NOT NULL,
            matter text NOT NULL,
            case_ref text NOT NULL,
            offers uuid[] NOT NULL,
            evidence bytea NOT NULL,
            made_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            used_at timestamptz,
            withdrawn_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX consent_code_made ON exchange.consent_code (made_at)")
    op.execute(
        """
        CREATE TABLE exchange.consent_presentation (
            id uuid PRIMARY KEY,
            client_id text NOT NULL,
            request bytea NOT NULL,
            kind text NOT NULL,
            person bytea NOT NULL,
            offers uuid[] NOT NULL,
            made_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX consent_presentation_made ON exchange.consent_presentation (made_at)")
