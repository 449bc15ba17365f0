"""Licence types: folders of data in `schemas/licence_types`."""
