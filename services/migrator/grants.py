"""
What each container may do in the database: read it beside the container's own SQL. What is not here, it may not.

Nobody but the worker reads what customers wrote in tickets, and of conversations nobody reads the vault: text is handed
in through `raw.take_text`, entries of the audit log through `audit_append`, which run with their owner's rights.
"""

from collections.abc import Mapping

Rights = Mapping[str, str]  # table, or function with its arguments' types -> privileges

READ, WRITE, ALL = "select", "select, insert, update", "select, insert, update, delete"

_APPEND = {"function public.audit_append(text, text, text, jsonb)": "execute"}
_TAKE_IN: Rights = {  # services/core/kit/intake.py
    "public.deliveries": "select, insert",
    "public.tickets": WRITE,
    "function raw.take_text(bigint, jsonb, boolean, boolean)": "execute",
    "dbos.workflow_status": WRITE,
    "dbos.workflow_input": "select (workflow_uuid), insert",
}
_DESK: Rights = {  # services/core/connectors/desk.py: the system of record of whoever has no other
    "public.desk_tickets": WRITE,
    "public.desk_comments": "select, insert",
    "public.desk_writes": "select, insert",
}
_MAIL: Rights = {  # services/core/connectors/email/threads.py
    "public.mailboxes": WRITE,
    "public.mails": WRITE,
}
_LOOK: Rights = {"public.schema_version": READ, "public.company": READ}

GATEWAY: Rights = {
    **_LOOK,
    **_TAKE_IN,
    **_DESK,
    **_APPEND,
    "public.api_keys": "select, insert, delete",
    "public.audit_log": READ,
    "public.catalogue": WRITE,
    "public.console_links": "select, insert, delete",
    "public.decisions": READ,
    "public.drift_reports": READ,
    "public.executors": READ,
    "public.gaps": READ,
    "public.history": 'select ("group", created_at, solved_at)',  # how long closed tickets took
    "public.incidents": "select, update (state, closed_by, closed_at)",
    "public.incident_tickets": READ,
    "public.labels": ALL,  # an answer that is taken back takes its label along
    "public.llm_calls": READ,
    "public.messages": "select (id, text)",
    "public.models": READ,
    "public.notes": READ,
    "public.outbox": WRITE,
    "public.predictions": WRITE,
    "public.review_reasons": READ,
    "public.reviews": "select, update",
    "public.tallies": READ,
    "public.thresholds": "select, insert, update, delete",
    "function public.model_serve(text, boolean, text)": "execute",
    "public.ticket_vectors": "select (ref, kind, external_id, group_name, title)",
    "dbos.operation_outputs": "select, delete",
}
ROUTER: Rights = {**_LOOK, "public.models": READ}
WORKER: Rights = {
    **_LOOK,
    **_TAKE_IN,
    **_DESK,
    **_MAIL,
    "public.desk_tickets": ALL,  # an erasure reaches what the desk holds
    "public.desk_comments": "select, insert, delete",
    "public.desk_writes": "select, insert, delete",
    **_APPEND,
    "public.api_keys": "select (id, name, secret_hash, role, revoked_at, expires_at, opened_by)",
    "public.arrivals": ALL,
    "public.audit": READ,
    "public.audit_log": READ,
    "public.audit_pending": READ,
    "function public.audit_link(int)": "execute",
    "public.catalogue": READ,
    "public.decisions": WRITE,
    "public.case_parts": READ,
    "public.documents": "select, delete",
    "public.drift_findings": "select, insert",
    "public.drift_reports": "select, insert",
    "public.event_positions": WRITE,
    "public.executors": ALL,
    "public.history": ALL,  # an erasure reaches what was imported, and services/worker/history.py brings it in
    "public.history_imports": WRITE,
    "public.incidents": WRITE,
    "public.incident_tickets": "select, insert, delete",
    "public.labels": WRITE,
    "public.llm_cache": "select, insert, delete",
    "public.llm_calls": "select, insert",
    "public.messages": "select (session_id), delete",  # what is too old, unread
    "public.models": "select, update (erased_keys)",
    "public.notes": "select, insert, delete",
    "public.notice_channels": WRITE,
    "public.notices_told": "select, insert, delete",
    "public.outbox": ALL,
    "public.positions": WRITE,
    "public.review_reasons": ALL,
    "public.reviews": ALL,
    "public.session_events": "select (session_id, kind, detail), delete",
    "public.sessions": "select, update (requester), delete",
    "public.tallies": "select, update",
    "public.sla_alerts": "select, insert",
    "public.sla_rules": READ,
    "public.thresholds": READ,
    "public.ticket_vectors": ALL,
    "public.watch_rules": READ,
    "raw.texts": "select, update, delete",
    "all tables in schema dbos": ALL,
    "all sequences in schema dbos": "usage, select",
}
RAG: Rights = {
    **_LOOK,
    **_TAKE_IN,
    **_DESK,
    **_MAIL,
    "public.api_keys": READ,
    "public.case_drafts": WRITE,
    "public.case_parts": WRITE,
    "public.catalogue": READ,
    "public.channel_sessions": "select, insert",
    "public.chunk_terms": "select, insert",
    "public.chunks": "select, insert, delete",
    "public.documents": ALL,
    "public.gaps": "select, insert, delete",
    "public.llm_calls": "select (id, ticket_id, workflow_id, step, task, input_tokens, output_tokens, usd, at), insert",
    "public.messages": WRITE,
    "public.notes": "select, insert",
    "public.outbox": "select (key), insert",
    "public.session_events": "select, insert",
    "public.sessions": WRITE,
    "public.shelves": WRITE,
    "raw.messages": "select (message_id, text), insert",
}
TRAINER: Rights = {
    **_LOOK,
    **_APPEND,
    "function public.model_serve(text, boolean, text)": "execute",
    "public.canary_answers": "select, insert",
    "public.decisions": READ,
    "public.catalogue": "select, insert",
    "public.history": READ,
    "public.labels": READ,
    "public.models": WRITE,
    "public.sla_rules": READ,
    "public.tickets": READ,
}
GRANTS: Mapping[str, Rights] = {
    "gateway": GATEWAY,
    "router": ROUTER,
    "worker": WORKER,
    "rag": RAG,
    "trainer": TRAINER,
}
# Only commands that an operator runs as administrator touch these.
OPERATORS = (
    *("public.conversation_citation_rate", "public.conversation_escalation_rate"),
    *("public.conversation_first_contact_resolution", "public.conversation_grounding_rate"),
    "public.conversation_recontact_rate",
)
