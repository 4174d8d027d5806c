-- Read models: everything here can be dropped and rebuilt from the log (DESIGN section 7).

create table cursors (
    name text primary key,
    position bigint not null default 0 check (position >= 0),
    epoch integer not null default 0,
    recorded_at timestamptz,
    moved_at timestamptz not null default now()
);
comment on table cursors is 'how far each follower of the log has come; recorded_at is of the event at position';
comment on column cursors.epoch is 'grows when what the follower computes changes under it; it must look again then';
insert into cursors (name) values ('accounts'), ('usage'), ('usage build');

create table accounts (
    key text primary key,
    name text not null,
    zone text not null,
    aliases text[] not null default '{}',
    opened_at timestamptz not null,
    position bigint not null
);
create index accounts_by_lower_name on accounts (lower(name) text_pattern_ops);

create table usage_series (
    series bigint generated always as identity primary key,
    meter text,
    definition json,
    state text not null check (state in ('building', 'live', 'retired')),
    since_position bigint not null,
    made_at timestamptz not null default now()
);
comment on table usage_series is
    'one computed version of a meter, or (meter null) of the usage that no meter can take';
create unique index usage_series_one_live on usage_series (coalesce(meter, '')) where state = 'live';
create unique index usage_series_one_building on usage_series (coalesce(meter, '')) where state = 'building';

insert into usage_series (meter, state, since_position) values (null, 'live', 0);

create table usage_days (
    series bigint not null,
    account text not null,
    day date not null,
    part timestamptz not null,
    dimensions_key bytea not null,
    dimensions jsonb not null,
    event_count bigint not null,
    total numeric,
    moment numeric,
    minimum numeric,
    maximum numeric,
    latest numeric,
    latest_at timestamptz,
    latest_position bigint,
    first_position bigint not null,
    last_position bigint not null,
    primary key (series, account, day, part, dimensions_key)
);
comment on column usage_days.day is 'the local day in the account''s zone';
comment on column usage_days.part is 'when the part of a billing period begins in which nothing of the contract changes';
comment on column usage_days.dimensions is 'array of the declared dimensions'' values in order, null where missing';
comment on column usage_days.dimensions_key is 'the 128-bit hash of dimensions: an index row has a bounded length, text has not';
comment on column usage_days.moment is 'sum of value x microseconds since the epoch, for time-weighted sums';

create table usage_hours (
    series bigint not null,
    account text not null,
    hour timestamptz not null,
    event_count bigint not null,
    total numeric,
    moment numeric,
    minimum numeric,
    maximum numeric,
    latest numeric,
    latest_at timestamptz,
    latest_position bigint,
    first_position bigint not null,
    last_position bigint not null,
    primary key (series, account, hour)
);
comment on column usage_hours.hour is 'the instant at which the local hour begins';

create table usage_values (
    series bigint not null,
    account text not null,
    day date not null,
    part timestamptz not null,
    dimensions_key bytea not null,
    value_key bytea not null,
    dimensions jsonb not null,
    value text not null,
    event_count bigint not null,
    first_position bigint not null,
    last_position bigint not null,
    last_at timestamptz not null,
    last_at_position bigint not null,
    is_present boolean not null,
    primary key (series, account, day, part, dimensions_key, value_key)
);
comment on table usage_values is 'the distinct values of unique counts; is_present: the last operation of the day added it';

create table held_usage (
    series bigint not null,
    position bigint not null,
    code text not null,
    message text not null,
    subject text not null,
    account text,
    event_type text not null,
    source text not null,
    event_id text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    primary key (series, position)
);
create index held_usage_by_subject on held_usage (subject, position);

grant select, insert, update, delete on
    cursors, accounts, usage_series, usage_days, usage_hours, usage_values, held_usage to ledger_service;
