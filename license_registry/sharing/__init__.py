"""Licence interfaces in the manner of GB/T 36906 (证照共享): the calls and short names that other platforms know."""
