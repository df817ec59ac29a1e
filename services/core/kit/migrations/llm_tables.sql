-- What every model call cost, and answers worth keeping. Read and written by services/core/llm/ledger.py.

create table llm_calls (
    id             bigint generated always as identity primary key,
    tenant         text not null,
    ticket_id      text not null,
    workflow_id    text not null,
    step           text not null,
    task           text not null,
    model          text not null,
    prompt_version text,
    input_tokens   integer not null check (input_tokens >= 0),
    output_tokens  integer not null check (output_tokens >= 0),
    usd            numeric(12, 8) check (usd >= 0),  -- null: no price is known for the model
    latency_ms     real not null,
    outcome        text not null,
    repairs        integer not null default 0,
    at             timestamptz not null default now(),
    unique (workflow_id, step)  -- a step that runs again is billed once
);

create index llm_calls_spent on llm_calls (tenant, at) include (usd);
create index llm_calls_ticket on llm_calls (tenant, ticket_id);  -- erasure, and cost per ticket

create table llm_cache (
    key       text primary key,  -- hash of tenant, task, model, prompt version and redacted question
    tenant    text not null,
    ticket_id text not null,     -- the ticket that paid for it; erasure deletes by it
    answer    jsonb not null,
    at        timestamptz not null default now()
);

create index llm_cache_age on llm_cache (at);
create index llm_cache_ticket on llm_cache (tenant, ticket_id);
