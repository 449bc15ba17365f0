"""Questions about subjects: the hot path."""
