"""Licence types: data in `schemas/licence_types`."""
