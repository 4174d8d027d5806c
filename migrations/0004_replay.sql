-- The replay proof: a second set of read model tables, folded anew from the log and held against the living ones.
-- A later migration that makes a read model's table calls cast_shadow for it; one that alters such a table alters both.

create schema ledger_shadow;
grant usage on schema ledger_shadow to ledger_service;

create function cast_shadow(original regclass) returns void language plpgsql as $$
begin
    -- Unlogged: nobody reads it but a replay, so a crash of Postgres may empty it, and then the replay begins anew.
    execute format('create unlogged table ledger_shadow.%I (like %s including all)', original::text, original);
    execute format(
        'grant select, insert, update, delete, truncate on ledger_shadow.%I to ledger_service', original::text
    );
end
$$;
comment on function cast_shadow is 'makes the table in which a replay folds what the living one of this name holds';

select cast_shadow(name::regclass) from unnest(array[
    'cursors', 'accounts', 'usage_series', 'usage_days', 'usage_hours', 'usage_values', 'held_usage'
]) as name;

create unlogged table ledger_shadow.replay_under_way (
    is_only boolean primary key default true check (is_only),
    started_at timestamptz not null
);
comment on table ledger_shadow.replay_under_way is 'the replay whose rows are in this schema; none once it has finished';
grant select, insert, update, delete, truncate on ledger_shadow.replay_under_way to ledger_service;

create function clear_shadow() returns void language plpgsql as $$
declare
    tables text;
begin
    select string_agg(format('ledger_shadow.%I', tablename), ', ' order by tablename) into tables
        from pg_tables where schemaname = 'ledger_shadow';
    execute 'truncate ' || tables;
    insert into ledger_shadow.cursors (name) select name from public.cursors;
end
$$;
comment on function clear_shadow is 'empties every shadow table and puts the cursors before the first event';
