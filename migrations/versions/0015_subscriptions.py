"""Subscriptions, their feeds, and by what changes are followed."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# A number for each version that ends. Who writes to a register holds it until the transaction ends (`lock_register`),
# so that the numbers come in the order of the commits: who has seen one has seen all before it.
FOLLOWED = (
    "".join(
        f"""
ALTER TABLE exchange.{table}_history ADD COLUMN sequence bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX {table}_history_sequence ON exchange.{table}_history (sequence);
"""
        for table in ("person", "legal_entity", "credential")
    )
    + """
CREATE TABLE exchange.register_return (
    register text NOT NULL,
    sequence bigint NOT NULL,
    subject bytea NOT NULL,
    version integer NOT NULL,
    returned_at timestamptz NOT NULL,
    PRIMARY KEY (register, sequence)
);
CREATE INDEX event_followed ON license_registry.event (entry) WHERE kind IN ('issued', 'state-changed');
"""
)

SUBSCRIPTIONS = """
CREATE TABLE exchange.subscription (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    department text NOT NULL,
    grant_id uuid NOT NULL,
    resource text NOT NULL,
    topic text NOT NULL,
    matter text NOT NULL,
    kinds text[] NOT NULL,
    scope text NOT NULL,
    url text,
    created_at timestamptz NOT NULL,
    state text NOT NULL,
    reason text,
    state_since timestamptz,
    head bigint NOT NULL,
    forgotten bigint NOT NULL,
    failures integer NOT NULL,
    not_before timestamptz,
    leased_until timestamptz
);
CREATE INDEX subscription_client ON exchange.subscription (client_id);
CREATE INDEX subscription_active ON exchange.subscription (topic) WHERE state = 'active';
CREATE TABLE exchange.subscription_subject (
    subscription uuid NOT NULL REFERENCES exchange.subscription (id) ON DELETE CASCADE,
    subject bytea NOT NULL,
    reference text NOT NULL,
    PRIMARY KEY (subscription, subject)
);
CREATE INDEX subscription_subject_subject ON exchange.subscription_subject (subject);
CREATE INDEX subscription_subject_reference ON exchange.subscription_subject (subscription, reference);
"""

FEED = """
CREATE TABLE exchange.feed_cursor (
    source text PRIMARY KEY,
    position bigint NOT NULL
);
INSERT INTO exchange.feed_cursor VALUES ('persons', 0), ('legal_entities', 0), ('credentials', 0), ('licences', -1);
CREATE TABLE exchange.change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    subject bytea NOT NULL,
    kinds jsonb NOT NULL,
    division text,
    sealed bytea,
    happened_at timestamptz NOT NULL
);
CREATE TABLE exchange.feed_event (
    subscription uuid NOT NULL REFERENCES exchange.subscription (id) ON DELETE CASCADE,
    sequence bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    subject bytea NOT NULL,
    reference text NOT NULL,
    fields text[] NOT NULL,
    sealed bytea,
    happened_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    record uuid,
    attempts integer NOT NULL,
    next_attempt_at timestamptz,
    delivered_at timestamptz,
    dead_at timestamptz,
    last_failure text,
    PRIMARY KEY (subscription, sequence)
);
CREATE INDEX feed_event_due ON exchange.feed_event (subscription, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX feed_event_before ON exchange.feed_event (subscription, subject, sequence)
    WHERE next_attempt_at IS NOT NULL OR dead_at IS NOT NULL;
CREATE INDEX feed_event_dead ON exchange.feed_event (subscription, sequence) WHERE dead_at IS NOT NULL;
CREATE INDEX feed_event_created ON exchange.feed_event (created_at);
"""


def upgrade() -> None:
    op.execute(FOLLOWED)
    op.execute(SUBSCRIPTIONS)
    op.execute(FEED)
