"""States, operations and status lists."""
