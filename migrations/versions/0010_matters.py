"""Service matters and their versions."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MATTERS = """
CREATE TABLE exchange.matter (
    code text NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    department text NOT NULL,
    document jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (code, version)
);
CREATE UNIQUE INDEX matter_published ON exchange.matter (code) WHERE state = 'published';
CREATE INDEX matter_department ON exchange.matter (department);
"""


def upgrade() -> None:
    op.execute(MATTERS)
