"""Share requests with their history; corrections and whom they are told to; terms that passed."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

REQUESTS = """
CREATE TABLE exchange.share_request (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    department text NOT NULL,
    owner text NOT NULL,
    sharing_class text NOT NULL,
    resource text NOT NULL,
    asked jsonb NOT NULL,
    state text NOT NULL,
    submitted_at timestamptz NOT NULL,
    step_since timestamptz NOT NULL,
    due_on date,
    overdue_at timestamptz,
    checked_at timestamptz,
    answer text,
    answered_at timestamptz,
    answered_in_time boolean,
    answer_days integer,
    reason text,
    legal_basis text,
    granted jsonb,
    until timestamptz NOT NULL,
    grant_id uuid,
    disputed_at timestamptz,
    decided_at timestamptz
);
CREATE INDEX share_request_department ON exchange.share_request (department, submitted_at);
CREATE INDEX share_request_owner ON exchange.share_request (owner, submitted_at);
CREATE INDEX share_request_due ON exchange.share_request (due_on) WHERE due_on IS NOT NULL AND overdue_at IS NULL;
CREATE INDEX share_request_until ON exchange.share_request (until)
    WHERE state NOT IN ('refused', 'decided-refused', 'ended', 'expired', 'withdrawn');
CREATE INDEX share_request_grant ON exchange.share_request (grant_id) WHERE grant_id IS NOT NULL;
CREATE TABLE exchange.share_request_step (
    request uuid NOT NULL REFERENCES exchange.share_request (id),
    number integer NOT NULL,
    at timestamptz NOT NULL,
    client_id text NOT NULL,
    department text NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    state text NOT NULL,
    said jsonb NOT NULL,
    PRIMARY KEY (request, number)
);
CREATE INDEX share_request_step_overdue ON exchange.share_request_step (request) WHERE action = 'overdue';
CREATE TABLE exchange.request_notice (
    id bigserial PRIMARY KEY,
    kind text NOT NULL,
    item uuid NOT NULL,
    department text,
    step text NOT NULL,
    due_on date NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz,
    seen_by text
);
CREATE INDEX request_notice_department ON exchange.request_notice (department, created_at);
"""

CORRECTIONS = """
CREATE TABLE exchange.correction_report (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    department text NOT NULL,
    reporter bytea,
    owner text NOT NULL,
    resource text NOT NULL,
    register text NOT NULL,
    subject bytea NOT NULL,
    field text NOT NULL,
    value bytea,
    value_since timestamptz,
    source text,
    sealed bytea NOT NULL,
    state text NOT NULL,
    reported_at timestamptz NOT NULL,
    due_on date,
    overdue_at timestamptz,
    answered_at timestamptz,
    answered_by text,
    answer_sealed bytea,
    task_closed_at timestamptz,
    looked_at timestamptz
);
CREATE INDEX correction_report_department ON exchange.correction_report (department, reported_at);
CREATE INDEX correction_report_owner ON exchange.correction_report (owner, reported_at);
CREATE INDEX correction_report_subject ON exchange.correction_report (subject, reported_at);
CREATE INDEX correction_report_due ON exchange.correction_report (due_on)
    WHERE due_on IS NOT NULL AND overdue_at IS NULL;
CREATE INDEX correction_report_task ON exchange.correction_report (looked_at)
    WHERE state = 'corrected' AND task_closed_at IS NULL;
CREATE TABLE exchange.correction_notice (
    id bigserial PRIMARY KEY,
    correction uuid NOT NULL REFERENCES exchange.correction_report (id),
    client_id text NOT NULL,
    department text NOT NULL,
    records uuid[] NOT NULL,
    created_at timestamptz NOT NULL,
    acknowledged_at timestamptz
);
CREATE INDEX correction_notice_client ON exchange.correction_notice (client_id, id);
CREATE INDEX correction_notice_correction ON exchange.correction_notice (correction);
"""


def upgrade() -> None:
    op.execute(REQUESTS)
    op.execute(CORRECTIONS)
