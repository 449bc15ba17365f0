"""Presenting a licence by code, and verifying what was presented."""
