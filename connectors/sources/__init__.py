"""Sources: each yields batches of raw rows with their origin."""
