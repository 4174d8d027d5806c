"""`ledger serve` as it would be without shared commits: each append is a transaction of its own."""

from unittest.mock import patch

from ledger import event_log
from ledger.cli import main

if __name__ == "__main__":
    with patch.object(event_log, "FLUSH_EVENTS_MAX", 1):
        main()
