"""Batches: one question about up to a million subjects, answered in parts, each with its own access record."""
