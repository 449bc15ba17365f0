"""Archive packages in the store, and which closed cases have one."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

PACKAGES = """
CREATE TABLE license_registry.archive (
    object_key text PRIMARY KEY,
    department text NOT NULL,
    matter text NOT NULL,
    case_ref text NOT NULL,
    sha256 bytea NOT NULL,
    sm3 bytea,
    bytes bigint,
    made_at timestamptz NOT NULL
);
CREATE INDEX archive_department ON license_registry.archive (department, made_at);
"""

# Until now a package stood in its events alone, one for each of its licences.
KNOWN = """
INSERT INTO license_registry.archive (object_key, department, matter, case_ref, sha256, made_at)
SELECT DISTINCT ON (said ->> 'object_key') said ->> 'object_key', coalesce(said ->> 'department', ''),
       said ->> 'matter', said ->> 'case', decode(said ->> 'sha256', 'hex'), recorded_at
FROM (SELECT convert_from(content, 'UTF8')::jsonb AS said, recorded_at FROM license_registry.event
      WHERE kind = 'archived' AND content IS NOT NULL) AS told
ORDER BY said ->> 'object_key', recorded_at;
"""

CASES = """
CREATE TABLE exchange.case_archive (
    outcome uuid PRIMARY KEY REFERENCES exchange.case_outcome (id),
    state text NOT NULL,
    edition integer NOT NULL DEFAULT 1,
    attempts integer NOT NULL DEFAULT 0,
    problem text,
    asked_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    packed_at timestamptz,
    object_key text,
    sha256 bytea,
    sm3 bytea,
    bytes bigint
);
CREATE INDEX case_archive_due ON exchange.case_archive (due_at) WHERE state = 'waiting-for-log';
"""

# Cases that were closed before are packed now.
CLOSED = """
INSERT INTO exchange.case_archive (outcome, state, asked_at, due_at)
SELECT id, 'waiting-for-log', now(), now() FROM exchange.case_outcome;
"""


def upgrade() -> None:
    op.execute(PACKAGES)
    op.execute(KNOWN)
    op.execute(CASES)
    op.execute(CLOSED)
