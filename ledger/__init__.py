"""An event-sourced ledger for usage-based billing: usage in, one immutable log, every figure
derived.
"""
