-- Conversations through other channels, cases that wait for a person, drafted replies, gaps, and what is measured per day.

create table channel_sessions (
    channel      text not null,              -- lex, bot_framework, dialogflow
    conversation text not null,              -- as the channel names it
    session_id   uuid not null references sessions on delete cascade,
    at           timestamptz not null default now(),
    primary key (channel, conversation)
);
create index channel_sessions_of on channel_sessions (session_id);

create table case_drafts (                   -- what an agent resolved, where a person says whether others are answered from it
    session_id uuid primary key references sessions on delete cascade,
    document   jsonb not null,               -- redacted
    state      text not null default 'waiting' check (state in ('waiting', 'approved', 'rejected')),
    decided_by text,
    decided_at timestamptz,
    at         timestamptz not null default now()
);

alter table notes drop constraint notes_kind_check;
alter table notes add constraint notes_kind_check check (kind in ('summary', 'related', 'draft'));

create table gaps (                          -- what people ask that no document answers, as it was last looked at
    id         bigint generated always as identity primary key,
    example    uuid not null references messages on delete cascade,   -- the question in the middle; its words are there
    questions  int not null,
    refused    int not null,
    escalated  int not null,
    by_people  int not null,
    usd        numeric(12, 8) not null,      -- what models cost in these conversations
    hours      real,                         -- median until a person had solved them
    uri        text,                         -- the document that came nearest
    title      text,
    nearness   real,
    hidden     boolean not null default false,   -- it is there, but not for those who asked
    at         timestamptz not null default now()
);
create index gaps_example on gaps (example);

create view conversation_first_contact_resolution as
select s.created_at::date as day, count(*) as conversations,
       count(*) filter (where answered and not escalated and not came_back) as resolved,
       (count(*) filter (where answered and not escalated and not came_back))::real / count(*) as share
from sessions s
cross join lateral (select coalesce(bool_or(kind = 'answered'), false) as answered,
                           coalesce(bool_or(kind = 'escalated'), false) as escalated
                    from session_events e where e.session_id = s.id) happened
cross join lateral (select exists (select from sessions later where later.requester = s.requester
                                   and later.created_at > s.created_at
                                   and later.created_at < s.created_at + interval '7 days') as came_back) afterwards
where exists (select from messages m where m.session_id = s.id and m.author = 'user')
group by 1;

create view conversation_escalation_rate as
select s.created_at::date as day, count(*) as conversations, count(*) filter (where escalated) as escalated,
       (count(*) filter (where escalated))::real / count(*) as share
from sessions s
cross join lateral (select exists (select from session_events e where e.session_id = s.id and e.kind = 'escalated')
                    as escalated) happened
where exists (select from messages m where m.session_id = s.id and m.author = 'user')
group by 1;

create view conversation_recontact_rate as
select ended.at::date as day, count(*) as resolved, count(*) filter (where came_back) as came_back,
       (count(*) filter (where came_back))::real / count(*) as share
from (select distinct on (session_id) session_id, at from session_events where kind = 'resolved'
      order by session_id, id) ended
join sessions s on s.id = ended.session_id
cross join lateral (select exists (select from messages m where m.session_id = s.id and m.author = 'user'
                                   and m.at > ended.at and m.at < ended.at + interval '7 days')
                        or exists (select from sessions later where later.requester = s.requester
                                   and later.created_at > ended.at
                                   and later.created_at < ended.at + interval '7 days') as came_back) afterwards
group by 1;

create view conversation_citation_rate as
select at::date as day, count(*) as answers, count(*) filter (where cited) as cited,
       (count(*) filter (where cited))::real / count(*) as share
from (select at, jsonb_array_length(answer -> 'claims') > 0
             and not jsonb_path_exists(answer, '$.claims[*] ? (@.citations.size() == 0)') as cited
      from messages where author = 'assistant' and answer ->> 'action' = 'continue') answers
group by 1;

create view conversation_grounding_rate as
select at::date as day, count(*) as judged, count(*) filter (where answer ->> 'action' = 'continue') as passed,
       (count(*) filter (where answer ->> 'action' = 'continue'))::real / count(*) as share
from messages where author = 'assistant'
  and (answer ->> 'action' = 'continue' or answer ->> 'reason' not in ('asked_for_human', 'llm_error'))
group by 1;
