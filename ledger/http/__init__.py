"""The HTTP edge: usage in, health, metrics; access by API key; every fault as RFC 9457 problem details."""
