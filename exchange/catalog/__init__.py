"""Data resources that can be asked about."""
