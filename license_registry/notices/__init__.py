"""Notices to departments: an outbox of signed webhooks, with retries and dead letters that somebody sees."""
