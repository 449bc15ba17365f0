"""Verifying alone: files, offline codes, answers and archives, by a trust bundle. No database, no network."""
