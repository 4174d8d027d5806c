"""The benchmarks: every figure has a stable name, every ratio has both its sides measured in one run."""
