"""Access records, receipts, the auditor's view and the person's own view."""
