-- Vectors of tickets, for "similar tickets". Read and written by services/core/search/similar.py.

create table ticket_vectors (
    tenant        text not null,
    ref           text not null,           -- our id of the row: history row id or ticket id
    kind          text not null check (kind in ('history', 'ticket')),
    external_id   text not null,
    group_name    text,
    title         text not null,           -- redacted
    resolution    text not null default '',
    solved_at     timestamptz,
    model_version text not null,           -- which encoder made it: vectors of two encoders do not compare
    embedding     halfvec(384) not null,
    primary key (tenant, ref)
);

create index ticket_vectors_space on ticket_vectors (tenant, model_version);

-- Filtered recall: an HNSW scan that filters afterwards found 0.24 of the true neighbours at a 10 % filter. So a tenant
-- with few rows is scanned exactly (through ticket_vectors_space), and a large one uses this index with iterative scans
-- (pgvector >= 0.8, hnsw.iterative_scan), which go on until enough rows pass the filter. Many large tenants in one
-- database: partition this table by tenant, which gives each an index of its own; the queries stay as they are.
create index ticket_vectors_near on ticket_vectors using hnsw (embedding halfvec_cosine_ops);
