"""Presenting: codes for several licences, signed codes, delegations, grants to see, marked copies."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CODES = """
ALTER TABLE license_registry.presentation
    ADD COLUMN further integer NOT NULL DEFAULT 0,
    ADD COLUMN agent bytea,
    ADD COLUMN delegation uuid;
CREATE TABLE license_registry.presentation_part (
    code_digest bytea NOT NULL REFERENCES license_registry.presentation (code_digest),
    position integer NOT NULL,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    sealed bytea NOT NULL,
    PRIMARY KEY (code_digest, position)
);
CREATE TABLE license_registry.offline_use (
    code_id bytea PRIMARY KEY,
    identifier text NOT NULL,
    used_at timestamptz NOT NULL
);
"""

DELEGATIONS = """
CREATE TABLE license_registry.delegation (
    id uuid PRIMARY KEY,
    holder bytea NOT NULL,
    agent bytea NOT NULL,
    identifiers text[] NOT NULL,
    matter text NOT NULL,
    made_at timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    statement text NOT NULL,
    withdrawn_at timestamptz,
    withdrawal text
);
CREATE INDEX delegation_holder ON license_registry.delegation (holder);
CREATE INDEX delegation_agent ON license_registry.delegation (agent);
"""

DISCLOSING = """
CREATE TABLE license_registry.disclosure_grant (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    licence_type text NOT NULL,
    fields text[] NOT NULL,
    matters text[] NOT NULL,
    purpose text NOT NULL,
    legal_basis text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX disclosure_grant_client ON license_registry.disclosure_grant (client_id);
CREATE TABLE license_registry.number_guess (
    about bytea NOT NULL,
    hour timestamptz NOT NULL,
    guesses integer NOT NULL,
    PRIMARY KEY (about, hour)
);
CREATE INDEX number_guess_hour ON license_registry.number_guess (hour);
CREATE INDEX licence_number ON license_registry.licence (number, type_code);
"""

COPIES = """
CREATE TABLE license_registry.marked_copy (
    id uuid PRIMARY KEY,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    department text NOT NULL,
    purpose text NOT NULL,
    matter text NOT NULL,
    valid_until timestamptz NOT NULL,
    object_key text NOT NULL UNIQUE,
    sha256 bytea NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX marked_copy_identifier ON license_registry.marked_copy (identifier);
CREATE TABLE license_registry.download (
    link_digest bytea PRIMARY KEY,
    copy_id uuid NOT NULL REFERENCES license_registry.marked_copy (id),
    client_id text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
"""


def upgrade() -> None:
    op.execute(CODES)
    op.execute(DELEGATIONS)
    op.execute(DISCLOSING)
    op.execute(COPIES)
