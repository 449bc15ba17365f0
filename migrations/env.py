"""Run migrations on the address that `foundation.database` put into the configuration."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

LOCK = int.from_bytes(b"ztmigrat")

engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, include_schemas=True, version_table_schema="public")
    with context.begin_transaction():
        # Of several that migrate at once one works; the others wait, and then find nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()
