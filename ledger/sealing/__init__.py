"""Sealed history: the hash tree over the log, its signed heads, and what proves and checks them."""
