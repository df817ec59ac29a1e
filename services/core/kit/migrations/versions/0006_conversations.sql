-- Conversations. Written by services/rag alone.

create table sessions (
    id           uuid primary key,
    state        text not null default 'open' check (state in ('open', 'escalated', 'resolved')),
    token_sha256 text not null,              -- who holds the token holds the conversation
    groups       text[] not null default '{}',
    requester    text,                       -- e-mail address, as the ticket names it
    reason       text,                       -- why a person has it
    connector    text,
    ticket       text,                       -- null while escalated: it is still to be opened
    rating       int check (rating between 1 and 5),
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
);
create index sessions_escalated on sessions (updated_at) where state = 'escalated';

create table messages (
    id         uuid primary key,
    place      bigint generated always as identity,
    session_id uuid not null references sessions on delete cascade,
    author     text not null check (author in ('user', 'assistant', 'agent')),
    text       text not null,                -- redacted where a person wrote it
    answer     jsonb,
    replies_to uuid unique references messages,   -- a message is answered once, whoever tries
    external   text,                         -- which comment of the ticket it is
    done       boolean not null default false,    -- of the user's: it was answered or given to the agent
    at         timestamptz not null default now(),
    unique (session_id, external)
);
create index messages_of on messages (session_id, place);
create index messages_waiting on messages (at) where author = 'user' and not done;

create table raw.messages (
    message_id uuid primary key references messages on delete cascade,
    text       text not null,                -- verbatim
    vault      jsonb not null default '{}'
);

create table session_events (
    id         bigint generated always as identity primary key,
    session_id uuid not null references sessions on delete cascade,
    kind       text not null,                -- opened, answered, clarified, escalated, ticket_opened, rated, resolved
    detail     jsonb not null default '{}',
    at         timestamptz not null default now()
);
create index session_events_of on session_events (session_id, id);
