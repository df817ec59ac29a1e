-- Dropping a column drops the keys and indexes it is part of: each comes back without it.

create table company (                           -- whose database this is: one row
    only_row boolean     primary key default true check (only_row),
    name     text        not null check (name <> ''),
    since    timestamptz not null default now()
);

alter table deliveries drop column tenant, add unique (connector, delivery_id);

alter table tickets drop column tenant, add unique (connector, external_id);
create index tickets_waiting on tickets (id) where state = 'received';

alter table catalogue drop column tenant, add primary key (kind, name);

alter table models drop column tenant;
create unique index one_champion on models (status) where status = 'champion';

alter table api_keys drop column tenant;

alter table history drop column tenant, add unique (source, external_id);
create index history_by_group on history ("group");
create index history_by_time on history (solved_at);

alter table history_imports drop column tenant, add primary key (source);

alter table llm_calls drop column tenant;
create index llm_calls_spent on llm_calls (at) include (usd);
create index llm_calls_ticket on llm_calls (ticket_id);

alter table llm_cache drop column tenant;
create index llm_cache_ticket on llm_cache (ticket_id);

alter table ticket_vectors drop column tenant, add primary key (ref);
create index ticket_vectors_space on ticket_vectors (model_version);

alter table desk_tickets drop column tenant;
create index desk_tickets_by_change on desk_tickets (updated_at desc);

-- The chain goes on. Entries up to 'tenancy.removed' were hashed with the tenant, which that entry names: audit_hash with
-- eight arguments stays for them.
alter table audit drop column tenant;

create function audit_hash(previous text, seq bigint, at timestamptz, actor text, action text, subject text,
                           detail jsonb) returns text language sql stable as $$
    select encode(sha256(convert_to(
        previous || jsonb_build_array(seq, extract(epoch from at)::text, actor, action, subject, detail)::text,
        'UTF8')), 'hex')
$$;

drop function audit_append(text, text, text, text, jsonb);

create function audit_append(p_actor text, p_action text, p_subject text, p_detail jsonb)
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
    insert into audit values (last_seq, row_at, p_actor, p_action, p_subject, p_detail, last_hash,
        audit_hash(last_hash, last_seq, row_at, p_actor, p_action, p_subject, p_detail));
    return last_seq;
end $$;
