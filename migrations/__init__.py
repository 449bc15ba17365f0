"""Alembic migrations of the schemas `exchange`, `license_registry`, `identity` and `ledger`."""
