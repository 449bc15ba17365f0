"""All commands on licences: each of these modules adds its own to the one group."""

from __future__ import annotations

from zhengtong import keeping, licence_issuing, licence_life

__all__ = ["licence"]

licence = licence_issuing.licence
assert licence is licence_life.licence is keeping.licence, "one group holds the commands of all three"
