"""The pure core: values, events, refusals and decisions. No I/O, no clock, no randomness."""
