"""Usage from files: rows of CSV, JSON lines or Parquet become usage events, each under an id that never changes."""
