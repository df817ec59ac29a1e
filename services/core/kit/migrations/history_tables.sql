-- Closed tickets to learn from, redacted before they are stored, and how far each import has come.

create table history (
    id            bigint generated always as identity primary key,
    tenant        text        not null,
    source        text        not null,          -- the file or system it came from
    external_id   text        not null,
    subject       text        not null,          -- redacted
    body          text        not null,          -- redacted
    "group"       text,                          -- where it was closed; null: it does not say
    priority      text,                          -- low, normal, high, urgent, or the source's own word
    created_at    timestamptz,
    solved_at     timestamptz,
    content_hash  text        not null,          -- sha256 of the redacted words: equal for duplicates
    unique (tenant, source, external_id)
);
create index history_by_group on history (tenant, "group");
create index history_by_time on history (tenant, solved_at);

create table history_imports (
    tenant        text        not null,
    source        text        not null,
    fingerprint   text        not null,          -- sha256 of the file and of the column mapping; another one starts anew
    rows_done     bigint      not null default 0, -- rows read so far, bad ones included: where to go on
    rows_bad      bigint      not null default 0,
    started_at    timestamptz not null default now(),
    finished_at   timestamptz,
    primary key (tenant, source)
);
