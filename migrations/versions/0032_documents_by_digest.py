"""Documents are found by their digest: whoever was shown one asks whether it is ours."""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX document_sha256 ON license_registry.document (sha256)")
