"""Grants that say by which mode, how often, when and about whom; and a number by which processes follow them."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Grants given before this let their holders verify, as they did.
GRANTS = """
ALTER TABLE exchange.share_grant
    ADD COLUMN modes text[] NOT NULL DEFAULT '{verify}',
    ADD COLUMN clear_fields text[] NOT NULL DEFAULT '{}',
    ADD COLUMN quota_per_day bigint,
    ADD COLUMN quota_per_minute bigint,
    ADD COLUMN hours_from time,
    ADD COLUMN hours_to time,
    ADD COLUMN divisions text[] NOT NULL DEFAULT '{}',
    ADD COLUMN request uuid,
    ADD COLUMN changed bigint NOT NULL DEFAULT 0;
ALTER TABLE exchange.share_grant
    ALTER COLUMN modes DROP DEFAULT,
    ALTER COLUMN clear_fields DROP DEFAULT,
    ALTER COLUMN divisions DROP DEFAULT,
    ALTER COLUMN changed DROP DEFAULT;
CREATE INDEX share_grant_changed ON exchange.share_grant (changed);
CREATE INDEX share_grant_request ON exchange.share_grant (request) WHERE request IS NOT NULL;
"""

# The lock on the one row keeps changes in the order of their commits: whoever has seen number n has seen all up to n.
CHANGES = """
CREATE TABLE exchange.grant_change (
    "only" boolean PRIMARY KEY,
    number bigint NOT NULL
);
INSERT INTO exchange.grant_change VALUES (true, 0);

CREATE FUNCTION exchange.number_grant_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE exchange.grant_change SET number = number + 1 RETURNING number INTO NEW.changed;
    PERFORM pg_notify('zhengtong_grants', '');
    RETURN NEW;
END
$$;
CREATE TRIGGER number_grant_change BEFORE INSERT OR UPDATE ON exchange.share_grant
    FOR EACH ROW EXECUTE FUNCTION exchange.number_grant_change();
"""

USE = """
CREATE TABLE exchange.grant_use (
    grant_id uuid NOT NULL,
    span text NOT NULL,
    begins timestamptz NOT NULL,
    used bigint NOT NULL,
    PRIMARY KEY (grant_id, span, begins)
);
"""


def upgrade() -> None:
    for statement in (GRANTS, CHANGES, USE):
        op.execute(statement)
