-- An entry is a row of its own in the transaction of what it tells, without a lock. One linker at a time moves the rows
-- into the chain, in the order of their ids: whoever saw another's entry committed has a higher one.

create table audit_pending (
    id      bigint      generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    actor   text        not null,
    action  text        not null,
    subject text        not null,
    detail  jsonb       not null
);
create index audit_pending_subject on audit_pending (subject);

-- What is asked for the whole log: `seq` and `hash` are null, and `pending` says in which order, where an entry waits.
create view audit_log as
select seq, null::bigint as pending, at, actor, action, subject, detail, hash from audit
union all
select null, id, at, actor, action, subject, detail, null from audit_pending;

create or replace function audit_append(p_actor text, p_action text, p_subject text, p_detail jsonb)
returns bigint language sql as $$
    insert into audit_pending (actor, action, subject, detail) values (p_actor, p_action, p_subject, p_detail)
    returning id
$$;

-- Links up to p_max of the entries that wait and says how many; 0 also where another is at it. In one transaction: an
-- entry is in one place or in the other, whenever the linker is killed.
create function audit_link(p_max int) returns int language plpgsql as $$
declare
    entry     audit_pending;
    last_seq  bigint;
    last_hash text;
    linked    int := 0;
begin
    if not pg_try_advisory_xact_lock(7264001) then
        return 0;
    end if;
    select seq, hash into last_seq, last_hash from audit order by seq desc limit 1;
    last_seq := coalesce(last_seq, 0);
    last_hash := coalesce(last_hash, '');
    perform set_config('pointsman.linking', 'on', true);
    for entry in
        with taken as (
            delete from audit_pending where id in (select id from audit_pending order by id limit p_max) returning *)
        select * from taken order by id
    loop
        last_seq := last_seq + 1;
        insert into audit (seq, at, actor, action, subject, detail, previous, hash)
        values (last_seq, entry.at, entry.actor, entry.action, entry.subject, entry.detail, last_hash,
                audit_hash(last_hash, last_seq, entry.at, entry.actor, entry.action, entry.subject, entry.detail))
        returning hash into last_hash;
        linked := linked + 1;
    end loop;
    perform set_config('pointsman.linking', 'off', true);
    return linked;
end $$;

-- What waits is as append-only as the chain: only the linker takes from it.
create function audit_refuse_loss() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('pointsman.linking', true) = 'on' then
        return null;
    end if;
    raise exception 'The audit log is append-only: % is refused.', tg_op;
end $$;

create trigger audit_append_only before update or delete or truncate on audit_pending
    for each statement execute function audit_refuse_loss();
