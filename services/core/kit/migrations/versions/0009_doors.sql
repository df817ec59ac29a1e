-- What a container may do beyond its own tables, as functions that run with their owner's rights: a container that is
-- taken over can append to the audit log and hand text in, but neither forge an entry nor read what others wrote.

alter function audit_append(text, text, text, jsonb) security definer set search_path = pg_catalog, public, pg_temp;
revoke execute on function audit_append(text, text, text, jsonb) from public;

-- Keeps a delivery's text and says whether it differs from what was there. Newer text replaces older, any replaces none;
-- an erased ticket takes none.
create function raw.take_text(p_ticket_id bigint, p_ticket jsonb, p_has_text boolean, p_is_newest boolean)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    known jsonb;
begin
    select x.ticket into known from raw.texts x where x.ticket_id = p_ticket_id for update;
    if not found then
        insert into raw.texts (ticket_id, ticket) values (p_ticket_id, p_ticket)
        on conflict (ticket_id) do nothing;
        if found then
            return false;
        end if;
        select x.ticket into known from raw.texts x where x.ticket_id = p_ticket_id for update;
    end if;
    if p_has_text and (p_is_newest or concat(known ->> 'subject', known ->> 'body') = '') then
        update raw.texts set ticket = p_ticket, received_at = now() where ticket_id = p_ticket_id;
    end if;
    return p_has_text and p_is_newest
           and (known ->> 'subject', known ->> 'body') is distinct from (p_ticket ->> 'subject', p_ticket ->> 'body');
end $$;
revoke execute on function raw.take_text(bigint, jsonb, boolean, boolean) from public;
