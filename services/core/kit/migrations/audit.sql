-- Append-only, hash-chained audit log. One writer at a time (advisory lock), so that the chain has one order.
-- hash = sha256(previous hash || canonical JSON of the row), computed here: no client can forge a link by accident.

create table audit (
    seq       bigint      primary key,
    at        timestamptz not null,
    tenant    text        not null,
    actor     text        not null,
    action    text        not null,
    subject   text        not null,
    detail    jsonb       not null,
    previous  text        not null,
    hash      text        not null
);
create index audit_subject on audit (subject, seq);

create function audit_hash(previous text, seq bigint, at timestamptz, tenant text, actor text, action text,
                           subject text, detail jsonb) returns text language sql stable as $$
    select encode(sha256(convert_to(
        previous || jsonb_build_array(seq, extract(epoch from at)::text, tenant, actor, action, subject, detail)::text,
        'UTF8')), 'hex')
$$;

create function audit_append(p_tenant text, p_actor text, p_action text, p_subject text, p_detail jsonb)
returns bigint language plpgsql as $$
declare
    last_seq  bigint;
    last_hash text;
    row_at    timestamptz := clock_timestamp();
begin
    -- Held until commit: call this last in a transaction.
    perform pg_advisory_xact_lock(7264001);
    select seq, hash into last_seq, last_hash from audit order by seq desc limit 1;
    last_seq := coalesce(last_seq, 0) + 1;
    last_hash := coalesce(last_hash, '');
    insert into audit values (last_seq, row_at, p_tenant, p_actor, p_action, p_subject, p_detail, last_hash,
        audit_hash(last_hash, last_seq, row_at, p_tenant, p_actor, p_action, p_subject, p_detail));
    return last_seq;
end $$;

create function audit_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'The audit log is append-only: % is refused.', tg_op;
end $$;

create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function audit_refuse_change();
