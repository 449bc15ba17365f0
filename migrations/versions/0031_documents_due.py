"""Documents that are to be drawn at issue, until they are."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Without a reference to the licence: both are written in one transaction, licences are never deleted, and checking it
# would cost bulk issuing a look into the index for each row.
DUE = """
CREATE TABLE license_registry.document_due (
    identifier text PRIMARY KEY,
    issuer text NOT NULL,
    bulk boolean NOT NULL,
    due_at timestamptz NOT NULL,
    tries bigint NOT NULL,
    next_try_at timestamptz,
    problem text
);
CREATE INDEX document_due_next ON license_registry.document_due (bulk, next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX document_due_problem ON license_registry.document_due (problem, issuer) WHERE problem IS NOT NULL;
"""


def upgrade() -> None:
    # Licences of before get their document when it is asked for, as they did.
    op.execute(DUE)
