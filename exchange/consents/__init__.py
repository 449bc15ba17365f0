"""Consent: a person asks for the evidence of a plan, sees exactly what would go, and releases it or does not."""
