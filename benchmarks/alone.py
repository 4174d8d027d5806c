"""`ledger serve` as it would be without shared commits: each append is a transaction of its own.

It takes the lock, reads the head, writes and commits: that the head is known already is the shared writer's doing.
"""

from unittest.mock import patch

from ledger import event_log, log_plan
from ledger.cli import main

if __name__ == "__main__":
    with patch.object(event_log, "FLUSH_EVENTS_MAX", 1), patch.object(log_plan, "CLOCK_AGE_SECONDS_MAX", 0):
        main()
