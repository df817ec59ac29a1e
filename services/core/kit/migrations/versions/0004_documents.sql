-- Documents and the chunks they are searched by. Read and written by services/core/search.

-- Documents of one source for one audience. Everything that is searched names its shelf, so that who may read it is one
-- comparison inside every arm of the search, and an index can answer it.
create table shelves (
    id     int generated always as identity primary key,
    source text not null,
    acl    text[] not null default '{}',      -- groups that may read it, sorted; empty: everybody
    unique (source, acl)
);

create table documents (
    id             bigint generated always as identity primary key,
    shelf_id       int not null references shelves,
    source         text not null,
    uri            text not null,
    title          text not null,
    kind           text not null check (kind in ('markdown', 'html', 'text', 'pdf', 'transcript', 'case')),
    content_sha256 text not null,
    updated_at     timestamptz not null default now(),
    unique (source, uri)
);

create table chunks (
    id          bigint generated always as identity primary key,
    document_id bigint not null references documents on delete cascade,
    shelf_id    int not null references shelves,
    ordinal     int not null,
    heading     text[] not null default '{}',
    text        text not null,
    start_s     real,
    page        int,
    encoder     text not null,                -- which encoder made the vector: those of two do not compare
    embedding   halfvec(384) not null,
    unique (document_id, ordinal)
);

create index chunks_space on chunks (shelf_id, encoder);
create index chunks_near on chunks using hnsw (embedding halfvec_cosine_ops);

-- The inverted index of the full-text arm, with BM25's saturated term weight already worked out. How many chunks hold a
-- term is counted among those the caller may read, so that ranks say nothing of other people's documents.
create table chunk_terms (
    term     text not null,
    chunk_id bigint not null references chunks on delete cascade,
    shelf_id int not null,
    weight   real not null,
    primary key (term, chunk_id) include (shelf_id, weight)
);
create index chunk_terms_of on chunk_terms (chunk_id);
