"""Whether the database still refuses changes of history as the migrations made it."""

from typing import Final

from ledger.database import SERVICE_ROLE, Connection
from ledger.migrate import migrations

GUARDED: Final = ("events", "tree_hashes", "tree_heads", "seal_keys")

# Fires always (A), before (2), for each row (1) on delete (8) and update (16), for each statement on truncate (32).
SELECT_TRIGGERS = """
select c.relname as name, count(*) filter (where t.tgtype = 27) as rows, count(*) filter (where t.tgtype = 34) as tables
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
where c.oid = any($1::regclass[]) and t.tgenabled = 'A' and p.proname = 'refuse_change' and t.tgqual is null
group by c.relname order by c.relname limit 100
"""
SELECT_FUNCTION = """
select prosrc from pg_proc where oid = 'refuse_change()'::regprocedure
"""
SELECT_GRANTS = """
select c.relname as name, coalesce(r.rolname, 'public') as role, a.privilege_type as privilege
from pg_class c, aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
where c.oid = any($1::regclass[]) and a.grantee <> c.relowner and a.privilege_type not in ('INSERT', 'SELECT')
order by 1, 2, 3 limit 100
"""
SELECT_OWNED = """
select c.relname as name from pg_class c
where c.oid = any($1::regclass[]) and (pg_get_userbyid(c.relowner) = $2 or c.relhasrules or c.relrowsecurity)
order by 1 limit 100
"""


async def guards_missing(connection: Connection) -> list[str]:
    """What of triggers and privileges is not as migrated, one sentence each; empty where all is."""
    found = []
    triggers = {row["name"]: row for row in await connection.fetch(SELECT_TRIGGERS, list(GUARDED))}
    for table in GUARDED:
        row = triggers.get(table)
        if row is None or row["rows"] < 1:
            found.append(f"No trigger refuses update and delete on {table}.")
        if row is None or row["tables"] < 1:
            found.append(f"No trigger refuses truncate on {table}.")
    body = await connection.fetchval(SELECT_FUNCTION)
    if not any(body in text for _, text in migrations()):
        found.append("The function refuse_change, which the triggers call, is not the migrated one.")
    found += [
        f"The role {row['role']} may {row['privilege'].lower()} {row['name']}."
        for row in await connection.fetch(SELECT_GRANTS, list(GUARDED))
    ]
    found += [
        f"The table {row['name']} belongs to {SERVICE_ROLE}, or has rules or row security."
        for row in await connection.fetch(SELECT_OWNED, list(GUARDED), SERVICE_ROLE)
    ]
    return found
