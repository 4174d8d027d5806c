-- What billing platforms are told: usage, cancels and credits, each as it stands.

create table sends (
    platform text not null,
    identifier text not null,
    batch text not null,
    account text not null,
    meter text not null,
    customer text not null,
    event_type text not null,
    usage_position bigint not null,
    value numeric not null,
    timestamp timestamptz not null,
    repeats text,
    undoes text,
    state text not null check (
        state in ('intended', 'accepted', 'delivered_before', 'rejected', 'unknown', 'cancelled')
    ),
    code text,
    message text,
    attempts integer not null default 0,
    intended_at timestamptz not null,
    due_at timestamptz not null,
    settled_at timestamptz,
    cancel text check (cancel in ('intended', 'unknown', 'done', 'needless', 'undone', 'impossible')),
    cancelled_by bigint,
    cancel_at timestamptz,
    intended_position bigint not null,
    settled_position bigint,
    primary key (platform, identifier)
);
comment on table sends is 'one row for each time that usage is told to a platform''s meter';
comment on column sends.usage_position is 'the usage event or adjustment that it tells, or what voids what it undoes';
comment on column sends.repeats is 'the identifier of the send that never counted and is told anew by this';
comment on column sends.undoes is 'the identifier of the send whose value this takes back';
comment on column sends.due_at is 'when it was told at the earliest: not before it was intended, nor before its own time';
comment on column sends.settled_at is 'of the last attempt';
comment on column sends.cancelled_by is 'the event that voids its usage';
comment on column sends.cancel_at is 'when it was to be cancelled';
create index sends_in_time on sends (platform, customer, event_type, timestamp);
create index sends_of_accounts on sends (account, intended_position, usage_position, identifier);
create index sends_of_usage on sends (usage_position);
create index sends_of_batches on sends (platform, batch);
create index sends_open on sends (platform, due_at) where state in ('intended', 'unknown');
create index sends_to_cancel on sends (platform, identifier) where cancel in ('intended', 'unknown');
create index sends_suspect on sends (platform, settled_at) where code like 'suspect%';

create table credit_sends (
    platform text not null,
    account text not null,
    adjustment text not null,
    customer text not null,
    instrument text not null,
    invoice text,
    minor_units numeric not null,
    currency text not null,
    identifier text not null,
    state text not null check (state in ('intended', 'accepted', 'delivered_before', 'rejected', 'unknown')),
    reference text,
    code text,
    message text,
    attempts integer not null default 0,
    settled_at timestamptz,
    intended_position bigint not null,
    settled_position bigint,
    primary key (platform, account, adjustment)
);
comment on table credit_sends is 'one row for each approved adjustment that is told to a platform';
comment on column credit_sends.reference is 'the platform''s id of what it made';
create index credit_sends_open on credit_sends (intended_position) where state in ('intended', 'unknown');

insert into cursors (name) values ('sends'), ('usage to send'), ('credits to send'), ('rejections of sends');
grant select, insert, update, delete on sends, credit_sends to ledger_service;
select cast_shadow('sends');
select cast_shadow('credit_sends');
