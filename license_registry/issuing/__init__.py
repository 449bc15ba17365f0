"""From a request to a signed licence in the store."""
