"""Subscriptions: a department is told what changed of subjects, by signed webhooks or from the same feed by asking."""
