-- Sealed history: the hash tree over the log and its signed heads, append-only like the log itself (DESIGN section 9).

create table tree_hashes (
    level smallint not null check (level between 0 and 7),
    first bigint not null check (first >= 0),
    hashes bytea not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
    primary key (level, first),
    constraint tree_hashes_in_one_tile check (first % 256 + octet_length(hashes) / 32 <= 256)
);
comment on table tree_hashes is
    'SHA-256 hashes, 32 bytes each, one after the other: at level 0 of single events, at level n of 256^n events';
comment on column tree_hashes.first is 'which hash of its level the first one is, from 0; no row crosses a multiple of 256';

create table tree_heads (
    number bigint primary key check (number > 0),
    size bigint not null unique check (size > 0),
    note text not null
);
comment on column tree_heads.number is 'contiguous from 1, in order of size';
comment on column tree_heads.note is 'the signed head: a C2SP tlog-checkpoint of so many events';

create table seal_keys (
    number integer primary key check (number > 0),
    public_key text not null,
    note text,
    constraint seal_keys_are_introduced check ((number = 1) = (note is null))
);
comment on column seal_keys.note is 'the words, signed by the key before, that name this one; null for the first';

create table seal_publications (
    is_only boolean primary key default true check (is_only),
    head bigint not null default 0,
    key integer not null default 0
);
comment on table seal_publications is 'the numbers of the last head and key that were told outside';
insert into seal_publications default values;

do $$
declare
    sealed text;
begin
    foreach sealed in array array['tree_hashes', 'tree_heads', 'seal_keys'] loop
        execute format('create trigger %s_are_immutable before update or delete on %s '
            'for each row execute function refuse_change()', sealed, sealed);
        execute format('create trigger %s_are_not_truncated before truncate on %s '
            'for each statement execute function refuse_change()', sealed, sealed);
        execute format('alter table %s enable always trigger %s_are_immutable', sealed, sealed);
        execute format('alter table %s enable always trigger %s_are_not_truncated', sealed, sealed);
    end loop;
end
$$;

grant select, insert on tree_hashes, tree_heads, seal_keys to ledger_service;
grant select, update on seal_publications to ledger_service;
