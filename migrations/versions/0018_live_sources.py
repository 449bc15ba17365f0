"""Sources that are asked live, at a department or a higher-level exchange."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

LIVE_SOURCES = """
CREATE TABLE exchange.live_source (
    resource text PRIMARY KEY,
    kind text NOT NULL CONSTRAINT live_source_kind CHECK (kind IN ('department', 'cascade')),
    department text NOT NULL,
    address text NOT NULL,
    jwks jsonb NOT NULL,
    timeout_ms integer NOT NULL,
    client_id text,
    remote_resource text,
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL,
    CONSTRAINT live_source_client CHECK (kind <> 'cascade' OR client_id IS NOT NULL)
);
"""


def upgrade() -> None:
    op.execute(LIVE_SOURCES)
