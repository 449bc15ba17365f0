"""Grants: which client may ask which fields of which resource, for which matters, for what purpose, until when."""
