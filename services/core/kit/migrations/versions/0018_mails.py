"""Mailboxes and the threads of their mails, by hashes: what a mail answers, and where it lies."""

from alembic import op

revision = "0018"
down_revision = "0017"

STATEMENTS = """
create table mailboxes (
    name        text        primary key,            -- account and folder
    uidvalidity bigint      not null,
    next_uid    bigint      not null,               -- as this uidvalidity was first seen: below it is what was there
    begun_at    timestamptz not null                -- what was there and arrived before this is not heard
);

create table mails (                                -- no address, no subject, no text: hashes and places
    mailbox     text        not null,
    key         text        not null,               -- of what names the mail for good
    kind        text        not null
        check (kind in ('heard', 'named', 'opened', 'handed_over', 'answered', 'unanswered')),
    message_id  text        not null,
    thread      text        not null,               -- the ticket's id
    uidvalidity bigint,                             -- where it lies; of a hand-over: the newest mail that was in it
    uid         bigint,
    person      text,                               -- who wrote it, or was answered
    "group"     text,                               -- what a hand-over said
    priority    text,
    at          timestamptz not null default now(),
    primary key (mailbox, key)
);
create index mails_by_message_id on mails (mailbox, message_id);
create index mails_of_thread on mails (mailbox, thread);
create index mails_answered on mails (mailbox, person, at) where kind = 'answered';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS)
