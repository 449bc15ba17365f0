"""Telling systems by signed webhooks that they were given a wrong value; whoever registers no address reads notices."""
