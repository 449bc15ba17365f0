"""Persons, legal entities and credentials: layout, bulk merge, history, lookup."""
