"""A wallet that comes by itself: its holder signs in, chooses, and goes back with a code (OpenID4VCI 1.0 §5)."""
