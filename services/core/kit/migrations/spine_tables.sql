-- The spine: deliveries, tickets, decisions, reviews, labels, outbox, audit, models, access.
-- Written for PostgreSQL 16+ without contrib extensions (the embedded wheel has none but pgvector).

create schema if not exists raw;
comment on schema raw is 'Text as customers wrote it. Only the gateway (insert) and the worker (read, erase) may touch it.';

create table deliveries (
    id           bigint generated always as identity primary key,
    tenant       text        not null,
    connector    text        not null,
    delivery_id  text        not null,
    kind         text        not null,
    external_id  text        not null,
    body_sha256  text        not null,          -- proof of what came; the body itself lies in raw.texts, parsed
    received_at  timestamptz not null default now(),
    unique (tenant, connector, delivery_id)
);
create index deliveries_of_ticket on deliveries (connector, external_id);

create table tickets (
    id           bigint generated always as identity primary key,
    tenant       text        not null,
    connector    text        not null,
    external_id  text        not null,
    status       text        not null default 'new',
    state        text        not null default 'received'
                 check (state in ('received', 'triaged', 'filtered', 'erased')),
    language     text,
    subject      text,                      -- redacted; null until redacted
    body         text,                      -- redacted; null until redacted
    current_group text,                     -- the group in the customer's system, as last seen
    occurred_at  timestamptz,               -- the sender's clock of the newest delivery applied
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    unique (tenant, connector, external_id)
);
create index tickets_recent on tickets (tenant, id desc);
create index tickets_waiting on tickets (tenant) where state = 'received';

create table raw.texts (
    ticket_id    bigint primary key references tickets on delete cascade,
    ticket       jsonb       not null,      -- contracts.ticket.Ticket
    vault        jsonb       not null default '{}',  -- placeholder -> original
    received_at  timestamptz not null default now()
);

create table decisions (
    id             bigint generated always as identity primary key,
    ticket_id      bigint      not null references tickets on delete cascade,
    workflow_id    text        not null unique,   -- a repeated step records once
    decision       jsonb       not null,          -- contracts.decision.Decision
    "group"        text,
    band           text        not null,
    priority       text,
    confidence     real        not null,
    model_version  text,
    shadow         boolean     not null,
    decided_at     timestamptz not null default now()
);
create index decisions_of_ticket on decisions (ticket_id, id desc);

create table reviews (
    ticket_id  bigint primary key references tickets on delete cascade,
    reason     text        not null,
    urgency    real        not null default 0,   -- higher first: the most informative or most urgent ticket
    state      text        not null default 'open' check (state in ('open', 'accepted', 'corrected')),
    "group"    text,
    closed_by  text,
    opened_at  timestamptz not null default now(),
    closed_at  timestamptz
);
create index reviews_open on reviews (urgency desc, opened_at) where state = 'open';

create table labels (                            -- what the right group turned out to be
    id         bigint generated always as identity primary key,
    ticket_id  bigint      not null references tickets on delete cascade,
    "group"    text        not null,
    source     text        not null check (source in ('close', 'review', 'feedback')),
    by         text,
    at         timestamptz not null default now(),
    unique (ticket_id, source)
);

create table notes (                             -- what the worker wrote or would write: summaries, related tickets
    id         bigint generated always as identity primary key,
    ticket_id  bigint      not null references tickets on delete cascade,
    kind       text        not null check (kind in ('summary', 'related')),
    workflow_id text       not null unique,
    body       jsonb       not null,
    at         timestamptz not null default now()
);

create table catalogue (                         -- the label catalogue: what may be answered, and what it means
    tenant      text    not null,
    kind        text    not null check (kind in ('group', 'priority')),
    name        text    not null,
    description text    not null default '',
    rank        int     not null default 0,
    active      boolean not null default true,
    primary key (tenant, kind, name)
);

create table outbox (
    id           bigint generated always as identity primary key,
    key          text        not null unique,    -- ticket id + stage: the idempotency key of the effect
    kind         text        not null check (kind in ('write', 'event')),
    connector    text,
    ticket_id    bigint      references tickets on delete cascade,
    payload      jsonb       not null,
    state        text        not null default 'pending' check (state in ('pending', 'sent', 'dead')),
    attempts     int         not null default 0,
    due_at       timestamptz not null default now(),
    last_error   text,
    result       text,
    created_at   timestamptz not null default now(),
    settled_at   timestamptz
);
create index outbox_due on outbox (due_at) where state = 'pending';
create index outbox_dead on outbox (id) where state = 'dead';

create table executors (                         -- heartbeats; the reaper resumes the work of those that stopped
    executor_id text primary key,
    beat_at     timestamptz not null default now()
);

create table models (
    version     text primary key,
    tenant      text        not null,
    status      text        not null check (status in ('candidate', 'champion', 'archived')),
    uri         text        not null,
    manifest    jsonb       not null,
    metrics     jsonb       not null default '{}',
    created_at  timestamptz not null default now(),
    promoted_at timestamptz
);
create unique index one_champion_per_tenant on models (tenant) where status = 'champion';

create table api_keys (
    id          text        primary key,         -- the public part of the key
    name        text        not null,
    secret_hash text        not null,
    role        text        not null check (role in ('viewer', 'agent', 'admin')),
    tenant      text        not null,
    created_at  timestamptz not null default now(),
    revoked_at  timestamptz
);
