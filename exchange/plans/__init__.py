"""The plan that a counter makes instead of asking for papers: what of a matter is settled, and what is still needed."""
