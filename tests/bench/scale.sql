drop index ticket_vectors_near;
insert into catalogue (kind, name) select 'group', 'Group ' || g from generate_series(0, 11) g;
insert into models (version, status, uri, manifest) values ('v1', 'champion', '', '{}');
insert into tickets (connector, external_id, status, state, language, subject, body, current_group, occurred_at, created_at, updated_at)
select 'generic', 'S-' || n, case when n % 20 = 0 then 'open' else 'solved' end,
       case n % 1000 when 7 then 'filtered' when 8 then 'erased' else 'triaged' end, 'en',
       'The printer on floor ' || n, repeat('some words of a ticket ', 12), 'Group ' || n % 12, at, at, at
from generate_series(1, :n) n cross join lateral (select now() - make_interval(secs => 30.0 * (:n - n) + 1000) as at) t;
insert into raw.texts (ticket_id, ticket, vault)
select n, jsonb_build_object('connector', 'generic', 'external_id', 'S-' || n, 'subject', 'The printer on floor ' || n,
                             'body', repeat('some words of a ticket ', 12)), '{"<PERSON_1>": "Ann"}'
from generate_series(1, :n) n;
insert into deliveries (connector, delivery_id, kind, external_id, body_sha256)
select 'generic', 'd-' || n, 'created', 'S-' || n, repeat('a', 64) from generate_series(1, :n) n;
insert into decisions (ticket_id, workflow_id, decision, "group", band, priority, confidence, model_version, shadow, decided_at)
select n, 'new:' || n,
       jsonb_build_object('ticket_id', n::text, 'group', g, 'band', band, 'priority', 'normal', 'confidence', 0.9,
           'similarity', 0.8, 'top3', jsonb_build_array(jsonb_build_object('group', g, 'probability', 0.9)),
           'priority_reason', 'by rules', 'priority_by', 'rules', 'summary', null, 'reason', 'margin',
           'decided_by', 'router', 'model_version', 'v1', 'prompt_version', null, 'shadow', false, 'latency_ms', 900),
       g, band, 'normal', 0.9, 'v1', false, now() - make_interval(secs => 30.0 * (:n - n) + 1000)
from generate_series(1, :n) n cross join lateral (
    select case when n % 5000 = 3 then 'Rare' else 'Group ' || n % 12 end as g,
           case when n % 2000 = 4 then 'ESCALATE' when n % 10 < 6 then 'AUTO_ROUTE' else 'HUMAN_REVIEW' end as band) d
where n % 1000 <> 7;
insert into reviews (ticket_id, reason, state, "group", closed_by, closed_at)
select n, 'margin', case when n % 40 = 9 then 'open' else 'accepted' end, 'Group ' || n % 12, 'ann', now()
from generate_series(1, :n) n where n % 10 >= 6;
insert into labels (ticket_id, "group", source) select n, 'Group ' || n % 12, 'close' from generate_series(1, :n) n;
insert into notes (ticket_id, kind, workflow_id, body)
select n, 'summary', 'solved:' || n || ':d', jsonb_build_object('issue', repeat('what it was about ', 8), 'actions', 'restarted', 'by', 'rules', 'references', '[]'::jsonb, 'tags', '[]'::jsonb, 'prompt_version', null)
from generate_series(1, :n) n;
insert into outbox (key, kind, connector, ticket_id, payload, state, settled_at, attempts)
select n || ':new', 'write', 'generic', n, jsonb_build_object('key', n || ':new', 'note', repeat('words ', 20)),
       case when n % 10000 = 11 then 'dead' else 'sent' end, now(), 1
from generate_series(1, :n) n;
insert into llm_calls (ticket_id, workflow_id, step, task, model, input_tokens, output_tokens, usd, latency_ms, outcome, at)
select n::text, 'new:' || n, 'priority', 'priority', 'm', 400, 40, 0.0001, 300, 'answered',
       now() - make_interval(secs => 30.0 * (:n - n))
from generate_series(1, :n) n;
insert into llm_cache (key, ticket_id, answer, at)
select md5(n::text), n::text, '{"priority": "normal"}', now() - make_interval(secs => 30.0 * (:n - n))
from generate_series(:n - :n / 12, :n) n;
insert into history (source, external_id, subject, body, "group", solved_at, content_hash)
select 'export', n::text, 'Old ticket', repeat('words ', 40), 'Group ' || n % 12, now(), md5(n::text)
from generate_series(1, least(:n, 20000)) n;
insert into ticket_vectors (ref, kind, external_id, title, model_version, embedding)
select 'history/' || n, 'history', n::text, 'a title', 'v1', array_fill(0.05, array[384])::halfvec
from generate_series(1, least(:n, 20000)) n;
insert into ticket_vectors (ref, kind, external_id, title, model_version, embedding)
select 'ticket/' || n, 'ticket', 'S-' || n, 'a title', 'v1', array_fill(0.05, array[384])::halfvec
from generate_series(greatest(1, :n - 22000), :n) n;
insert into audit (seq, at, actor, action, subject, detail, previous, hash)
select last.seq + s, now() - make_interval(secs => 6.0 * (5 * :n - s)), 'worker', 'ticket.decided', 'ticket/' || (s + 4) / 5,
       jsonb_build_object('group', 'Group ' || s % 12, 'band', 'AUTO_ROUTE', 'confidence', 0.9, 'model_version', 'v1'),
       md5(s::text), md5((s + 1)::text)
from (select coalesce(max(seq), 0) as seq from audit) last, generate_series(1, 5 * :n::bigint) s;
insert into dbos.workflow_status (workflow_uuid, status, name, application_name, created_at, updated_at, completed_at)
select 'new:' || n, case when n % 20000 = 13 then 'ERROR' else 'SUCCESS' end, 'new_ticket', 'pointsman', at, at, at
from generate_series(1, :n) n
cross join lateral (select (extract(epoch from now()) * 1000)::bigint - 1000 as at) t;
insert into dbos.operation_outputs (workflow_uuid, function_id, function_name, output)
select 'new:' || n, 1, 'prepare', 'null' from generate_series(1, :n) n;
update tallies set up_to = (select max(id) from tickets), found = (select jsonb_build_object('all', count(*)) from tickets)
where what = 'tickets';
update tallies set up_to = (select max(id) from decisions), found = (
    select jsonb_object_agg(band, n) from (select band, count(*) as n from decisions group by band) counted)
where what = 'decisions';
vacuum analyze;
