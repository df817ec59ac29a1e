-- Copies %(first)s to %(last)s of everything that is indexed. A copy's id is its number times the room that the
-- originals take, so that nothing is looked up; its number is a word of its own, its vector lies a little beside.
insert into documents (id, shelf_id, source, uri, title, kind, content_sha256) overriding system value
select g * %(documents)s + id, shelf_id, source, 'copy-' || g || '-' || id, title, kind, content_sha256
from documents cross join generate_series(%(first)s::int, %(last)s::int) g where id <= %(documents)s;

insert into chunks (id, document_id, shelf_id, ordinal, heading, text, start_s, page, encoder, embedding)
overriding system value
select g * %(chunks)s + id, g * %(documents)s + document_id, shelf_id, ordinal, heading, text || ' Copy' || g || '.',
       start_s, page, encoder, embedding + noise
from chunks cross join (
    select g, array_agg((random() - 0.5) * 0.05)::vector(384)::halfvec as noise
    from generate_series(%(first)s::int, %(last)s::int) g cross join generate_series(1, 384) group by g
) n where id <= %(chunks)s;

insert into chunk_terms (term, chunk_id, shelf_id, weight)
select term, g * %(chunks)s + chunk_id, shelf_id, weight
from original_terms cross join generate_series(%(first)s::int, %(last)s::int) g;

insert into chunk_terms (term, chunk_id, shelf_id, weight)
select 'copy' || g, g * %(chunks)s + id, shelf_id, 1.0
from chunks cross join generate_series(%(first)s::int, %(last)s::int) g where id <= %(chunks)s
