"""Licences know their type's version and all metadata of GB/T 36903; several holders; requests and jobs of issuing."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

LICENCE = """
ALTER TABLE license_registry.licence
    ADD type_version integer NOT NULL DEFAULT 1,
    ADD issuer_name text,
    ADD division text,
    ADD issued_on date,
    ADD first_issued_on date,
    ADD related_identifier text,
    ADD origin text NOT NULL DEFAULT 'issued',
    ADD object_sm3 bytea;
UPDATE license_registry.licence SET
    issued_on = (issued_at AT TIME ZONE 'Asia/Shanghai')::date,
    first_issued_on = (issued_at AT TIME ZONE 'Asia/Shanghai')::date;
ALTER TABLE license_registry.licence
    ALTER type_version DROP DEFAULT,
    ALTER origin DROP DEFAULT,
    ALTER issued_on SET NOT NULL,
    ALTER first_issued_on SET NOT NULL;
"""

ISSUING = """
CREATE TABLE license_registry.co_holder (
    holder bytea NOT NULL,
    identifier text NOT NULL REFERENCES license_registry.licence,
    PRIMARY KEY (holder, identifier)
);
CREATE INDEX co_holder_identifier ON license_registry.co_holder (identifier);

CREATE TABLE license_registry.issue_request (
    client_id text NOT NULL,
    key text NOT NULL,
    digest bytea NOT NULL,
    identifier text NOT NULL REFERENCES license_registry.licence,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, key)
);

CREATE TABLE license_registry.issue_job (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    department text NOT NULL,
    key text NOT NULL,
    digest bytea NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    rows bigint NOT NULL,
    next_row bigint NOT NULL,
    issued bigint NOT NULL,
    known bigint NOT NULL,
    refused bigint NOT NULL,
    problem text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (client_id, key)
);
CREATE INDEX issue_job_open ON license_registry.issue_job (created_at) WHERE state = 'open';

CREATE TABLE license_registry.issue_job_row (
    job_id uuid NOT NULL REFERENCES license_registry.issue_job,
    row bigint NOT NULL,
    identifier text,
    error text,
    pointer text,
    message text,
    PRIMARY KEY (job_id, row)
);
"""


def upgrade() -> None:
    op.execute(LICENCE)
    op.execute(ISSUING)
