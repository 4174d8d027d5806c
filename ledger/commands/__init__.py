"""Every write: load, decide, append. A command returns the position at which its effect is in the log."""
