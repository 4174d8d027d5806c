"""What a reconciliation run came to."""

from datetime import datetime

from ledger.domain.events import Event
from ledger.domain.money import Money


class ReconciliationFinished(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Our numbers were held against a platform's, for the billing periods around `period_at` of some accounts or all.

    `compared` counts what was: a quantity of a meter, an amount of a meter, and all other lines of an invoice, each of
    one account and period. Of them `agreeing` were the same within the tolerances and `differing` not; `unread` could
    not be told, because the platform or our own read model gave no answer. `found` counts what was found beside:
    accounts that nobody bills, customers whom nobody knows, prices without words. `leaks` is what we would bill more
    than the platform does and `excesses` what it bills more, one for each currency. `calls` are reads of the platform.
    `is_exhausted` says that some minutes were not looked for, because no more calls were allowed. `oldest_open_at` is
    when the oldest period began that a case was not settled for when the run began.
    """

    TOPIC = "ReconciliationFinished"

    platform: str
    run: str
    period_at: datetime
    accounts: tuple[str, ...] = ()
    started_at: datetime
    finished_at: datetime
    compared: int
    agreeing: int
    differing: int
    unread: int = 0
    found: int = 0
    leaks: tuple[Money, ...] = ()
    excesses: tuple[Money, ...] = ()
    calls: int = 0
    is_exhausted: bool = False
    oldest_open_at: datetime | None = None
