"""What happened to licences, for auditors: salted records in the log."""
