-- Cases: differences to billing platforms, and where the work on them stands.

create table cases (
    key text primary key,
    platform text not null,
    subject text not null,
    account text,
    customer text,
    meter text,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    standing text not null check (standing in ('open', 'investigating', 'resolved', 'settled')),
    cause text not null,
    assignee text,
    currency text not null,
    money_minor_units numeric not null,
    opened_at timestamptz not null,
    opened_position bigint not null unique,
    position bigint not null,
    state json not null
);
comment on table cases is 'one row for each subject that ever differed: its one case';
comment on column cases.currency is 'of the difference, empty where it has no money';
comment on column cases.money_minor_units is 'what we would bill less what the platform does: above zero it leaks';
comment on column cases.state is 'the whole case as the domain folds it';
comment on column cases.position is 'of its last event';
create index cases_by_money on cases (currency, abs(money_minor_units), opened_position);
create index cases_that_wait on cases (opened_position) where standing <> 'settled';
create index cases_of_accounts on cases (account, opened_position);

insert into cursors (name) values ('cases');
grant select, insert, update, delete on cases to ledger_service;
select cast_shadow('cases');
