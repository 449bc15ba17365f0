"""E-archive packages of closed matters."""
