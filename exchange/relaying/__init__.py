"""Questions that are passed on: to a department whose data must not leave it, or to a higher-level exchange."""
