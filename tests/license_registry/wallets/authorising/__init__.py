"""Tests of wallets that come by themselves."""
