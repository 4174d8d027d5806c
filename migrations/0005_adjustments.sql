-- Adjustments: the read model of them, and four eyes held by the database too, for code that forgets them.

do $$
declare
    -- what Python's casefold does, which PostgreSQL has since 18; lower() knows all but a few letters, such as sharp s
    fold text := case
        when current_setting('server_version_num')::integer >= 180000
        then 'casefold(normalize($1, NFKC) collate "pg_unicode_fast")' else 'lower(normalize($1, NFKC))'
    end;
begin
    execute format(
        'create function person_key(text) returns text language sql immutable strict as %L',
        'select btrim(regexp_replace(' || fold || ', ''\s+'', '' '', ''g''))'
    );
end
$$;
comment on function person_key is 'what two spellings of one person''s name share';

create index events_that_set_limits on events (position) where topic = 'AdjustmentLimitChanged';

create function refuse_adjustment(why text) returns void language plpgsql as $$
begin
    raise exception 'an adjustment needs four eyes: %', why
        using errcode = 'check_violation', constraint = 'adjustments_need_four_eyes';
end
$$;

-- Paths are set so that no table of the session's own can stand in for the log.
create function check_proposal(told events) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
    adjustment json := told.state -> 'adjustment';
begin
    if coalesce(person_key(told.state ->> 'proposed_by'), '') = '' then
        perform refuse_adjustment('nobody proposed it');
    end if;
    if adjustment ->> 'kind' = 'usage' then
        if coalesce((adjustment ->> 'quantity')::numeric, 0) = 0 then
            perform refuse_adjustment('it has no quantity');
        end if;
    elsif coalesce((adjustment #>> '{amount,minor_units}')::numeric, 0) <= 0 then
        perform refuse_adjustment('its amount is not above zero');
    end if;
    if exists (
        select from events
        where originator_id = told.originator_id and position <> told.position and topic = 'AdjustmentProposed'
            and state #>> '{adjustment,adjustment}' = adjustment ->> 'adjustment'
    ) then
        perform refuse_adjustment('another one has its key');
    end if;
end
$$;

create function check_limit(told events, proposed json) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
    proposer text := person_key(proposed ->> 'proposed_by');
    effect_currency text := proposed #>> '{effect,currency}';
    changed json := (
        select state from events
        where topic = 'AdjustmentLimitChanged' and state ->> 'role' = proposed ->> 'role'
            and state #>> '{limit,currency}' = effect_currency
        order by position desc limit 1
    );
    adjusted numeric := (
        select sum(abs((p.state #>> '{effect,minor_units}')::numeric))
        from events a join events p on p.originator_id = a.originator_id and p.topic = 'AdjustmentProposed'
            and p.state #>> '{adjustment,adjustment}' = a.state ->> 'adjustment'
        where a.originator_id = told.originator_id and a.topic = 'AdjustmentApproved'
            and (a.state ->> 'is_automatic')::boolean
            and person_key(p.state ->> 'proposed_by') = proposer
            and p.state #>> '{effect,currency}' = effect_currency
            and (p.state ->> 'proposed_at')::timestamptz
                > (proposed ->> 'proposed_at')::timestamptz - interval '30 days'
    );
begin
    if person_key(told.state ->> 'approved_by') is distinct from proposer then
        perform refuse_adjustment('automatic approval is of the proposer''s own alone');
    end if;
    if changed is null or person_key(changed ->> 'changed_by') = proposer then
        perform refuse_adjustment('the proposer''s role has no limit that somebody else set');
    end if;
    if adjusted > (changed #>> '{limit,minor_units}')::numeric then
        perform refuse_adjustment('it is above the limit of the proposer''s role');
    end if;
end
$$;
comment on function check_limit is 'what is in the log counts, the row told of among it';

create function check_reversal(told events, reversed text) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
    if not exists (
        select from events
        where originator_id = told.originator_id and topic = 'AdjustmentApproved' and state ->> 'adjustment' = reversed
    ) then
        perform refuse_adjustment('it reverses one that was not approved');
    end if;
    if exists (
        select from events p join events a on a.originator_id = p.originator_id and a.topic = 'AdjustmentApproved'
            and a.state ->> 'adjustment' = p.state #>> '{adjustment,adjustment}' and a.position <> told.position
        where p.originator_id = told.originator_id and p.topic = 'AdjustmentProposed'
            and p.state #>> '{adjustment,reverses}' = reversed
    ) then
        perform refuse_adjustment('it reverses one that was reversed already');
    end if;
end
$$;

create function check_decision(told events) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
    key text := told.state ->> 'adjustment';
    decider text := person_key(
        coalesce(told.state ->> 'approved_by', told.state ->> 'rejected_by', told.state ->> 'withdrawn_by')
    );
    proposed json := (
        select state from events
        where originator_id = told.originator_id and topic = 'AdjustmentProposed'
            and state #>> '{adjustment,adjustment}' = key and account = told.account
        order by position limit 1
    );
begin
    if proposed is null then
        perform refuse_adjustment('nobody proposed it');
    end if;
    if exists (
        select from events
        where originator_id = told.originator_id and position <> told.position and state ->> 'adjustment' = key
            and topic in ('AdjustmentApproved', 'AdjustmentRejected', 'AdjustmentWithdrawn')
    ) then
        perform refuse_adjustment('it was decided on already');
    end if;
    if told.recorded_at >= (proposed ->> 'expires_at')::timestamptz then
        perform refuse_adjustment('it has expired');
    end if;
    if told.topic = 'AdjustmentWithdrawn' then
        if decider is distinct from person_key(proposed ->> 'proposed_by') then
            perform refuse_adjustment('only its proposer may withdraw it');
        end if;
        return;
    end if;
    if told.topic = 'AdjustmentApproved' and (told.state ->> 'is_automatic')::boolean then
        perform check_limit(told, proposed);
    elsif coalesce(decider, '') in ('', 'ledger', person_key(proposed ->> 'proposed_by')) then
        perform refuse_adjustment('another person than its proposer must decide on it');
    end if;
    if told.topic = 'AdjustmentApproved' and proposed #>> '{adjustment,reverses}' is not null then
        perform check_reversal(told, proposed #>> '{adjustment,reverses}');
    end if;
end
$$;

create function check_adjustment() returns trigger language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
    if new.account is null or new.account is distinct from new.state ->> 'account' then
        perform refuse_adjustment('it is told of another account than its own');
    end if;
    if new.topic = 'AdjustmentProposed' then
        perform check_proposal(new);
    else
        perform check_decision(new);
    end if;
    return null;
end
$$;

-- After, not before: a trigger before each row would have COPY write rows one by one. The prefix is all that usage pays.
create trigger adjustments_need_four_eyes after insert on events for each row
    when (new.topic ^@ 'Adjustment' and new.topic <> 'AdjustmentLimitChanged')
    execute function check_adjustment();
alter table events enable always trigger adjustments_need_four_eyes;

create table adjustments (
    account text not null,
    key text not null,
    kind text not null,
    state text not null check (state in ('proposed', 'approved', 'rejected', 'withdrawn', 'reversed')),
    at timestamptz not null,
    amount_minor_units numeric check (amount_minor_units > 0),
    meter text,
    quantity numeric check (quantity <> 0),
    effect_minor_units numeric not null,
    currency text not null,
    reason text not null,
    reverses text,
    proposed_by text not null,
    proposed_at timestamptz not null,
    expires_at timestamptz not null,
    proposed_position bigint not null unique,
    decided_by text,
    is_automatic boolean not null default false,
    decided_at timestamptz,
    decided_position bigint,
    primary key (account, key),
    constraint adjustments_decided_by_another check (
        state in ('proposed', 'withdrawn') or is_automatic or person_key(decided_by) <> person_key(proposed_by)
    )
);
comment on column adjustments.state is 'as decided; a proposed one is expired from expires_at on';
comment on column adjustments.at is 'an instant of the billing period whose invoice it changes';
create index adjustments_by_money on adjustments (currency, abs(effect_minor_units), proposed_position);
create index adjustments_that_wait on adjustments (proposed_position) where state = 'proposed';

insert into cursors (name) values ('adjustments');
grant select, insert, update, delete on adjustments to ledger_service;
select cast_shadow('adjustments');
