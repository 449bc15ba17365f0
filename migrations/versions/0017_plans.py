"""Plans, consents and commitments, outcomes of cases and what supervises them."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

PLANS = """
CREATE TABLE exchange.plan (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,
    department text NOT NULL,
    matter text NOT NULL,
    matter_version integer NOT NULL,
    case_ref text NOT NULL,
    applicant bytea NOT NULL,
    made_at timestamptz NOT NULL,
    sealed bytea NOT NULL,
    UNIQUE (client_id, key)
);
CREATE INDEX plan_case ON exchange.plan (department, case_ref);
CREATE INDEX plan_applicant ON exchange.plan (applicant);

CREATE TABLE exchange.plan_material (
    plan uuid NOT NULL REFERENCES exchange.plan (id),
    material text NOT NULL,
    required boolean NOT NULL,
    state text NOT NULL,
    reasons text[] NOT NULL,
    records uuid[] NOT NULL,
    settled_by text,
    settled_at timestamptz,
    follows_until timestamptz,
    remind_at timestamptz,
    reminded_at timestamptz,
    brought_at timestamptz,
    brought_late boolean,
    PRIMARY KEY (plan, material)
);
CREATE INDEX plan_material_settled ON exchange.plan_material (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX plan_material_remind ON exchange.plan_material (remind_at) WHERE remind_at IS NOT NULL;

CREATE TABLE exchange.plan_offer (
    id uuid PRIMARY KEY,
    plan uuid NOT NULL REFERENCES exchange.plan (id),
    material text NOT NULL,
    kind text NOT NULL,
    template text,
    person bytea NOT NULL,
    state text NOT NULL,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    questions bytea,
    evidence bytea,
    records uuid[] NOT NULL DEFAULT '{}',
    settles boolean NOT NULL DEFAULT true
);
CREATE INDEX plan_offer_person ON exchange.plan_offer (person, made_at);
CREATE INDEX plan_offer_plan ON exchange.plan_offer (plan);
CREATE INDEX plan_offer_open ON exchange.plan_offer (expires_at)
    WHERE state IN ('offered', 'requested', 'previewed');

CREATE TABLE exchange.commitment (
    id uuid PRIMARY KEY REFERENCES exchange.plan_offer (id),
    plan uuid NOT NULL REFERENCES exchange.plan (id),
    material text NOT NULL,
    template text NOT NULL,
    template_version integer NOT NULL,
    person bytea NOT NULL,
    signed_at timestamptz NOT NULL,
    statement text NOT NULL,
    public boolean NOT NULL,
    name_masked text,
    state text NOT NULL,
    verify_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    verified_at timestamptz,
    records uuid[] NOT NULL DEFAULT '{}'
);
CREATE INDEX commitment_person ON exchange.commitment (person, signed_at);
CREATE INDEX commitment_due ON exchange.commitment (verify_at) WHERE verify_at IS NOT NULL;
CREATE INDEX commitment_public ON exchange.commitment (signed_at) WHERE public;

CREATE TABLE exchange.outbox (
    id uuid PRIMARY KEY,
    target text NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL,
    made_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    delivered_at timestamptz,
    dead_at timestamptz,
    last_failure text
);
CREATE INDEX outbox_due ON exchange.outbox (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
"""

OUTCOMES = """
CREATE TABLE exchange.case_outcome (
    id uuid PRIMARY KEY,
    department text NOT NULL,
    client_id text NOT NULL,
    matter text NOT NULL,
    case_ref text NOT NULL,
    result text NOT NULL,
    decided_on date NOT NULL,
    applicant bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    UNIQUE (department, matter, case_ref)
);
CREATE INDEX case_outcome_applicant ON exchange.case_outcome (applicant, matter) WHERE result = 'granted';

CREATE TABLE exchange.supervision_task (
    outcome uuid PRIMARY KEY REFERENCES exchange.case_outcome (id),
    department text NOT NULL,
    applicant_kind text NOT NULL,
    applicant bytea NOT NULL,
    made_at timestamptz NOT NULL,
    seen_at timestamptz
);
CREATE INDEX supervision_task_department ON exchange.supervision_task (department, made_at);
"""

ENTITLEMENTS = """
CREATE TABLE exchange.entitlement_run (
    id uuid PRIMARY KEY,
    rule text NOT NULL,
    rule_version integer NOT NULL,
    client_id text NOT NULL,
    department text NOT NULL,
    state text NOT NULL,
    problem text,
    last bytea NOT NULL,
    screened integer NOT NULL DEFAULT 0,
    made_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX entitlement_run_department ON exchange.entitlement_run (department, made_at);
CREATE INDEX entitlement_run_open ON exchange.entitlement_run (made_at) WHERE state = 'open';

CREATE TABLE exchange.entitlement_found (
    id uuid PRIMARY KEY,
    run uuid NOT NULL REFERENCES exchange.entitlement_run (id),
    subject bytea NOT NULL,
    sealed bytea NOT NULL,
    state text NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX entitlement_found_run ON exchange.entitlement_found (run, id);
CREATE INDEX entitlement_found_subject ON exchange.entitlement_found (subject);
"""


def upgrade() -> None:
    op.execute(PLANS)
    op.execute(OUTCOMES)
    op.execute(ENTITLEMENTS)
