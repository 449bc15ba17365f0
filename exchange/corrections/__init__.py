"""Corrections (校核): somebody reports a wrong value, its department answers, and all who were given it are told."""
