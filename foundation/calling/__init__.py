"""Calling a Zhengtong from outside as a registered system: assertions, tokens, and what may be sent again.

What is decided (`conversation`, `retrying`, `tokens`) is written once and does no input or output; two small drivers
carry it out, one that blocks (`blocking`) and one for asyncio (`concurrent`).
"""
