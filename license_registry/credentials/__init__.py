"""Credentials: SD-JWT VC and status list tokens."""
