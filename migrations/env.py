"""Run migrations on the address that `foundation.database` put into the configuration."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, include_schemas=True, version_table_schema="public")
    with context.begin_transaction():
        context.run_migrations()
