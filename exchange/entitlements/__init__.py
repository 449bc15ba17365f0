"""Automatic entitlement (免申即享): who is entitled to a benefit is found without asking them, and reviewed first."""
