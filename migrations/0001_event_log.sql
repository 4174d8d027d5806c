-- The log: one table, one order, append-only by trigger and by privilege (DESIGN section 4).

do $$
begin
    if not exists (select from pg_roles where rolname = 'ledger_service') then
        create role ledger_service nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;  -- another database of this server was migrated at the same moment
end
$$;

create table events (
    position bigint primary key check (position > 0),
    originator_id uuid not null,
    originator_version integer not null check (originator_version > 0),
    topic text not null,
    account text,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    state json not null,
    metadata json not null,
    constraint events_one_per_version unique (originator_id, originator_version)
);

comment on column events.position is 'contiguous from 1, in order of visibility';
comment on column events.account is 'the account key of a decision, or the subject of a usage event as its source told it';
comment on column events.recorded_at is 'never decreases with position';
comment on column events.state is 'the event as JSON text, kept as written';

create index events_by_account on events (account, position) where account is not null;
create index events_that_decide on events (position) where topic <> 'UsageRecorded';

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % refused', lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger events_are_immutable before update or delete on events
    for each row execute function refuse_change();
create trigger events_are_not_truncated before truncate on events
    for each statement execute function refuse_change();
-- also in sessions that replay changes of a replica, where ordinary triggers sleep
alter table events enable always trigger events_are_immutable;
alter table events enable always trigger events_are_not_truncated;

create function recorded_at_after(bigint) returns timestamptz language sql stable as
    'select recorded_at from events where position = $1 + 1';
comment on function recorded_at_after is 'when the event after a position was recorded; null at the head';

grant select, insert on events to ledger_service;
