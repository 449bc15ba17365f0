"""Documents of licences, and of what kind a marked copy is."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

DOCUMENTS = """
CREATE TABLE license_registry.document (
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    format text NOT NULL,
    object_key text NOT NULL UNIQUE,
    sha256 bytea NOT NULL,
    sm3 bytea NOT NULL,
    bytes bigint NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (identifier, format)
);
ALTER TABLE license_registry.marked_copy ADD COLUMN media_type text NOT NULL DEFAULT 'application/jose';
"""


def upgrade() -> None:
    op.execute(DOCUMENTS)
