-- The built-in ticket desk (services/core/connectors/desk.py). Executed by the first migration.
create table desk_tickets (
    id              bigint generated always as identity primary key,
    tenant          text not null,
    subject         text not null,
    body            text not null,
    requester_name  text,
    requester_email text,
    status          text not null default 'new'
                    check (status in ('new', 'open', 'pending', 'solved', 'closed', 'deleted')),
    priority        text check (priority in ('low', 'normal', 'high', 'urgent')),
    group_name      text,
    assignee        text,
    tags            text[] not null default '{}',
    metadata        jsonb not null default '{}',
    created_at      timestamptz not null default clock_timestamp(),
    updated_at      timestamptz not null default clock_timestamp()
);
create index desk_tickets_by_change on desk_tickets (tenant, updated_at desc);

create table desk_comments (
    id        bigint generated always as identity primary key,
    ticket_id bigint not null references desk_tickets (id) on delete cascade,
    body      text not null,
    public    boolean not null,
    author    text not null,
    at        timestamptz not null default clock_timestamp()
);
create index desk_comments_by_ticket on desk_comments (ticket_id, id);

-- One row per update that took effect: the same key again has none.
create table desk_writes (
    key       text primary key,
    ticket_id bigint not null references desk_tickets (id) on delete cascade,
    at        timestamptz not null default clock_timestamp()
);
