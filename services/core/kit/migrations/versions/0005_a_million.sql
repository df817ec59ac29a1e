-- Made for 1 million tickets: what pages and erasures look up has an index, what a page shows as a number is kept.

create table tallies (                           -- rows counted so far; services/core/kit/tallies.py counts on from there
    what   text   primary key,
    up_to  bigint not null,                      -- the newest id that is counted
    found  jsonb  not null
);
insert into tallies
select 'tickets', coalesce(max(id), 0), jsonb_build_object('all', count(*)) from tickets;
insert into tallies
select 'decisions', (select coalesce(max(id), 0) from decisions), coalesce(jsonb_object_agg(band, n), '{}') from (
    select band, count(*) as n from (
        select distinct on (ticket_id) band from decisions order by ticket_id, id desc) latest group by band) counted;

create index outbox_of_ticket on outbox (ticket_id);
create index notes_of_ticket on notes (ticket_id);
create index decisions_by_band on decisions (band, ticket_id desc);
create index decisions_by_group on decisions ("group", ticket_id desc);
create index tickets_by_external on tickets (lower(external_id) text_pattern_ops);
create index tickets_left on tickets (state, id) where state in ('filtered', 'erased');
