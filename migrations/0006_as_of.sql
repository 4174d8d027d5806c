-- An account as of a position: the decisions on it, and (account null) those on no account, without going through its usage.

create index events_that_decide_by_account on events (account, position) where topic <> 'UsageRecorded';
