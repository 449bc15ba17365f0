"""The life of a licence: signed changes, versions, reminders, annual reports, notices, linked changes."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

LIFE = """
CREATE TABLE license_registry.life (
    identifier text PRIMARY KEY REFERENCES license_registry.licence (identifier),
    changes integer NOT NULL,
    last_change bytea,
    state_description text,
    suspended_until date,
    transferred_to text,
    replaces text,
    replaced_by text
);
CREATE INDEX life_suspended_until ON license_registry.life (suspended_until) WHERE suspended_until IS NOT NULL;
CREATE UNIQUE INDEX life_replaces ON license_registry.life (replaces) WHERE replaces IS NOT NULL;
CREATE TABLE license_registry.change (
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    sequence integer NOT NULL,
    id uuid NOT NULL UNIQUE,
    operation text NOT NULL,
    actor text NOT NULL,
    department text NOT NULL,
    state_before text NOT NULL,
    state_after text NOT NULL,
    reason text NOT NULL,
    changed_at timestamptz NOT NULL,
    statement text NOT NULL,
    PRIMARY KEY (identifier, sequence)
);
CREATE TABLE license_registry.reminder (
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    days integer NOT NULL,
    reminded_at timestamptz NOT NULL,
    PRIMARY KEY (identifier, days)
);
CREATE INDEX licence_ending ON license_registry.licence (valid_until) WHERE state IN ('01', '02');
"""

NOTICES = """
CREATE TABLE license_registry.subscription (
    id uuid PRIMARY KEY,
    department text NOT NULL,
    url text NOT NULL,
    kinds text[] NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (department, url)
);
CREATE TABLE license_registry.delivery (
    id uuid PRIMARY KEY,
    subscription uuid NOT NULL REFERENCES license_registry.subscription (id) ON DELETE CASCADE,
    kind text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    delivered_at timestamptz,
    dead_at timestamptz,
    last_failure text
);
CREATE INDEX delivery_due ON license_registry.delivery (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX delivery_dead ON license_registry.delivery (dead_at) WHERE dead_at IS NOT NULL;
"""


REPORTS = """
CREATE TABLE license_registry.annual_report (
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    year integer NOT NULL,
    due_until date NOT NULL,
    opened_at timestamptz NOT NULL,
    filed_at timestamptz,
    reference text,
    overdue_told_at timestamptz,
    PRIMARY KEY (identifier, year)
);
CREATE INDEX annual_report_open ON license_registry.annual_report (due_until)
    WHERE filed_at IS NULL AND overdue_told_at IS NULL;
"""

LINKED = """
CREATE TABLE license_registry.followed_holder (
    holder bytea PRIMARY KEY,
    version integer NOT NULL,
    standing text NOT NULL,
    name bytea,
    address bytea,
    representative bytea,
    seen_at timestamptz NOT NULL
);
CREATE TABLE license_registry.follow_position (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bytea NOT NULL
);
CREATE TABLE license_registry.task (
    id uuid PRIMARY KEY,
    identifier text NOT NULL REFERENCES license_registry.licence (identifier),
    issuer text NOT NULL,
    cause text NOT NULL,
    reaction text NOT NULL,
    register_version integer NOT NULL,
    raised_at timestamptz NOT NULL,
    claimed_by text,
    claimed_at timestamptz,
    done_at timestamptz,
    outcome text,
    note text,
    UNIQUE (identifier, cause, register_version)
);
CREATE INDEX task_open ON license_registry.task (issuer, raised_at) WHERE done_at IS NULL;
CREATE TABLE license_registry.holder_merger (
    holder bytea PRIMARY KEY,
    survivor bytea NOT NULL,
    reason text NOT NULL,
    merged_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(LIFE)
    op.execute(REPORTS)
    op.execute(LINKED)
    op.execute(NOTICES)
