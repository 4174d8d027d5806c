-- Billing platforms: what they hold as it was last seen, and how far what they told was looked into.

create table platform_objects (
    platform text not null,
    kind text not null check (kind in ('customer', 'meter', 'price', 'subscription', 'invoice', 'credit_note')),
    id text not null,
    customer text,
    subscription text,
    status text,
    starts_at timestamptz,
    ends_at timestamptz,
    obstacle text,
    topic text not null,
    state json not null,
    position bigint not null,
    primary key (platform, kind, id)
);
comment on column platform_objects.customer is 'whose it is; null for meters and prices';
comment on column platform_objects.starts_at is 'of a subscription, of what an invoice is about, and when a credit note was made';
comment on column platform_objects.obstacle is 'why the ledger cannot tell it, or rate it, in its own words';
comment on column platform_objects.state is 'the event of the topic, as the log has it';
create index platform_objects_of_customers on platform_objects (customer, kind, starts_at);

create table platform_news (
    platform text primary key,
    notifications bigint not null,
    last_event_id text not null,
    last_kind text not null,
    last_created_at timestamptz not null,
    last_recorded_at timestamptz not null,
    position bigint not null
);
comment on table platform_news is 'the last that each platform told, and how much it told in all';

create table platform_syncs (
    platform text not null,
    what text not null,
    began_at timestamptz not null,
    listed_after bigint not null default 0,
    after text,
    is_done boolean not null default false,
    primary key (platform, what)
);
comment on table platform_syncs is 'how far a full sync under way has come, kind by kind, and when events were swept last';
comment on column platform_syncs.what is 'a kind of object, or notifications';
comment on column platform_syncs.listed_after is 'how far the log went before the first page was listed';
comment on column platform_syncs.after is 'the object after which the listing goes on';

insert into cursors (name) values ('platform objects'), ('platform notifications');
grant select, insert, update, delete on platform_objects, platform_news, platform_syncs to ledger_service;
select cast_shadow('platform_objects');
select cast_shadow('platform_news');
