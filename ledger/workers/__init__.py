"""Background work by Dramatiq on Redis. All of it is derived from the log or the clock, so Redis may forget it."""
