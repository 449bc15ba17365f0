"""Connectors bring departments' data in: decode, check, normalise, quarantine or stage, merge. No web framework."""
