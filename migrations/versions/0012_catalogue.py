"""The catalogue of data resources: every version of each, and what was told about their changes."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CATALOGUE = """
CREATE TABLE exchange.resource_version (
    resource text NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    department text NOT NULL,
    document jsonb NOT NULL,
    reason text,
    applies_from timestamptz,
    applies_until timestamptz,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (resource, version)
);
CREATE UNIQUE INDEX resource_version_open ON exchange.resource_version (resource)
    WHERE state IN ('draft', 'in-review');
CREATE TABLE exchange.resource_change (
    id bigint PRIMARY KEY,
    resource text NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    narrowed jsonb NOT NULL,
    widened jsonb NOT NULL,
    notice text,
    applies_from timestamptz NOT NULL,
    told_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(CATALOGUE)
