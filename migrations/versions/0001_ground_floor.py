"""Ground floor: callers, ledger, registers, grants, access records, licences.

Written out in SQL: the layout of what grows with the population matters for speed, and is to be read here.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PARTITIONS = 8

IDENTITY = """
CREATE SCHEMA identity;
CREATE TABLE identity.client (
    client_id text PRIMARY KEY,
    name text NOT NULL,
    department text NOT NULL,
    roles text[] NOT NULL,
    jwks jsonb NOT NULL,
    registered_at timestamptz NOT NULL,
    disabled_at timestamptz
);
CREATE TABLE identity.used_assertion (
    digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_assertion_expires_at ON identity.used_assertion (expires_at);
"""

LEDGER = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.pending (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry bytea NOT NULL UNIQUE,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ledger.entry (
    leaf_index bigint PRIMARY KEY,
    entry bytea NOT NULL UNIQUE
);
CREATE TABLE ledger.tree_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL,
    root bytea NOT NULL,
    checkpoint text NOT NULL,
    signed_at timestamptz NOT NULL
);
"""

EXCHANGE = """
CREATE SCHEMA exchange;
CREATE TABLE exchange.share_grant (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    resource text NOT NULL,
    fields text[] NOT NULL,
    matters text[] NOT NULL,
    purpose text NOT NULL,
    legal_basis text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    ended_at timestamptz,
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL
);
CREATE INDEX share_grant_client ON exchange.share_grant (client_id, resource);

CREATE TABLE exchange.access_record (
    id uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    client_id text NOT NULL,
    subject bytea,
    outcome text NOT NULL,
    entry bytea NOT NULL,
    salt bytea,
    content bytea
);
CREATE INDEX access_record_subject ON exchange.access_record (subject, recorded_at);
CREATE INDEX access_record_time ON exchange.access_record (recorded_at);

CREATE TABLE exchange.ingest_run (
    id uuid PRIMARY KEY,
    source text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    origin text NOT NULL,
    report jsonb
);
CREATE TABLE exchange.ingest_cursor (
    source text PRIMARY KEY,
    run_id uuid NOT NULL,
    origin_digest text NOT NULL,
    position bigint NOT NULL,
    moved_at timestamptz NOT NULL
);
CREATE TABLE exchange.finding (
    run_id uuid NOT NULL,
    origin_row bigint NOT NULL,
    field text NOT NULL,
    code text NOT NULL,
    PRIMARY KEY (run_id, origin_row, field, code)
);
CREATE TABLE exchange.quarantine (
    source text NOT NULL,
    digest bytea NOT NULL,
    run_id uuid NOT NULL,
    origin_row bigint NOT NULL,
    field text,
    reason text NOT NULL,
    raw bytea NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    seen integer NOT NULL,
    PRIMARY KEY (source, digest)
);
"""

# The three registers share one layout. `subject` is the keyed blind index of the identifier, so neither the key
# nor its order says anything; fields not marked x-sensitive stand in `content`, all others in `sealed`.
REGISTER = """
CREATE TABLE exchange.{name} (
    subject bytea NOT NULL,
    content jsonb NOT NULL,
    sealed bytea,
    fingerprint bytea NOT NULL,
    source text NOT NULL,
    run_id uuid NOT NULL,
    origin_row bigint NOT NULL,
    version integer NOT NULL,
    valid_from timestamptz NOT NULL,
    PRIMARY KEY (subject)
) PARTITION BY HASH (subject);
CREATE TABLE exchange.{name}_history (
    subject bytea NOT NULL,
    version integer NOT NULL,
    content jsonb NOT NULL,
    sealed bytea,
    fingerprint bytea NOT NULL,
    source text NOT NULL,
    run_id uuid NOT NULL,
    origin_row bigint NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    PRIMARY KEY (subject, version)
);
"""

LICENSE_REGISTRY = """
CREATE SCHEMA license_registry;
CREATE SEQUENCE license_registry.serial;
CREATE SEQUENCE license_registry.status_index MINVALUE 0;
CREATE TABLE license_registry.licence (
    identifier text PRIMARY KEY,
    type_code text NOT NULL,
    number text NOT NULL,
    issuer text NOT NULL,
    holder bytea NOT NULL,
    presenter bytea,
    state text NOT NULL,
    state_reason text,
    state_since timestamptz NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    issued_at timestamptz NOT NULL,
    status_index bigint NOT NULL UNIQUE,
    object_key text NOT NULL,
    object_sha256 bytea NOT NULL,
    request_digest bytea NOT NULL,
    sealed bytea NOT NULL
);
CREATE UNIQUE INDEX licence_in_force ON license_registry.licence (type_code, number) WHERE state IN ('01', '02');
CREATE INDEX licence_holder ON license_registry.licence (holder);
CREATE INDEX licence_presenter ON license_registry.licence (presenter);

CREATE TABLE license_registry.presentation (
    code_digest bytea PRIMARY KEY,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    presenter bytea NOT NULL,
    purpose text NOT NULL,
    matter text NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE TABLE license_registry.event (
    id uuid PRIMARY KEY,
    identifier text,
    kind text NOT NULL,
    recorded_at timestamptz NOT NULL,
    entry bytea NOT NULL,
    salt bytea,
    content bytea
);
CREATE INDEX event_identifier ON license_registry.event (identifier, recorded_at);
"""


def upgrade() -> None:
    op.execute(IDENTITY)
    op.execute(LEDGER)
    op.execute(EXCHANGE)
    for name in ("person", "legal_entity", "credential"):
        op.execute(REGISTER.format(name=name))
        for number in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE exchange.{name}_p{number} PARTITION OF exchange.{name} "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
            )
    op.execute(LICENSE_REGISTRY)
