"""What departments decided, who is to watch over it, and what they found (审管联动)."""
