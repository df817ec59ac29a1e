-- One row and more in every table of revision 0001, as the platform of that time wrote them; :tenant is 'acme'.
insert into deliveries (tenant, connector, delivery_id, kind, external_id, body_sha256)
values ('acme', 'generic', 'd-1', 'created', 'T-1', repeat('a', 64)), ('acme', 'desk', 'd-1', 'created', '1', repeat('b', 64));
insert into tickets (tenant, connector, external_id, status, state, language, subject, body, current_group, occurred_at)
values ('acme', 'generic', 'T-1', 'solved', 'triaged', 'en', 'VPN drops', 'Every hour.', 'Network', now()),
       ('acme', 'desk', '1', 'new', 'received', null, null, null, null, null);
insert into raw.texts (ticket_id, ticket, vault)
values (1, '{"connector": "generic", "external_id": "T-1", "subject": "VPN drops", "body": "Ann: every hour."}', '{"<PERSON_1>": "Ann"}');
insert into decisions (ticket_id, workflow_id, decision, "group", band, priority, confidence, model_version, shadow)
values (1, 'new:1', '{"group": "Network", "band": "ESCALATE"}', 'Network', 'ESCALATE', 'normal', 0.4, 'v1', false);
insert into reviews (ticket_id, reason, urgency) values (1, 'unsure', 0.5);
insert into labels (ticket_id, "group", source) values (1, 'Network', 'close');
insert into notes (ticket_id, kind, workflow_id, body) values (1, 'summary', 'solved:1', '{"issue": "VPN"}');
insert into catalogue (tenant, kind, name) values ('acme', 'group', 'Network'), ('acme', 'group', 'Access');
insert into outbox (key, kind, connector, ticket_id, payload, state, settled_at)
values ('1:new', 'write', 'generic', 1, '{"key": "1:new", "external_id": "T-1"}', 'dead', now());
insert into executors (executor_id) values ('local-worker');
insert into models (version, tenant, status, uri, manifest, promoted_at)
values ('v0', 'acme', 'archived', 'models/acme/v0', '{}', now() - interval '1 day'),
       ('v1', 'acme', 'champion', 'models/acme/v1', '{}', now());
insert into api_keys (id, name, secret_hash, role, tenant)
values ('0123456789ab', 'n8n', encode(sha256('secret'), 'hex'), 'agent', 'acme');
insert into history (tenant, source, external_id, subject, body, "group", solved_at, content_hash)
values ('acme', 'export', '7', 'Printer', 'Jam.', 'Hardware', now(), 'h7');
insert into history_imports (tenant, source, fingerprint, rows_done) values ('acme', 'export', 'f', 1);
insert into llm_calls (tenant, ticket_id, workflow_id, step, task, model, input_tokens, output_tokens, usd, latency_ms, outcome)
values ('acme', '1', 'new:1', 'priority', 'priority', 'm', 10, 2, 0.5, 3, 'answered');
insert into llm_cache (key, tenant, ticket_id, answer) values ('k', 'acme', '1', '{}');
insert into ticket_vectors (tenant, ref, kind, external_id, title, model_version, embedding)
values ('acme', 'ticket/1', 'ticket', 'T-1', 'VPN drops', 'v1', array_fill(0.05, array[384])::halfvec);
insert into desk_tickets (tenant, subject, body) values ('acme', 'VPN drops', 'Every hour.');
insert into desk_comments (ticket_id, body, public, author) values (1, 'Looking.', true, 'agent');
insert into desk_writes (key, ticket_id) values ('1:new', 1);
insert into dbos.workflow_status (workflow_uuid, status, name, created_at, updated_at)
values ('new:1', 'SUCCESS', 'new_ticket', 1, 1);
select audit_append('acme', 'worker', 'ticket.decided', 'ticket/1', '{"group": "Network", "confidence": 0.4}');
select audit_append('acme', 'user/ann', 'review.accepted', 'ticket/1', '{"group": "Network"}');
