"""Billing platforms: one port, and an adapter for each platform that fits behind it."""
