"""Counters that can be traced to their records."""
