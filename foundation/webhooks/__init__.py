"""Webhooks: where they may go, how they are signed, and when one that failed is sent again."""
