"""The states of a conversation, and what moves it from one to another. Pure."""

from services.core.contracts.conversation import Action, SessionState

# A resolved conversation opens again when its person writes; one that a person has stays theirs until they solve it.
MOVES: dict[tuple[SessionState, Action], SessionState] = {
    (SessionState.OPEN, Action.CONTINUE): SessionState.OPEN,
    (SessionState.OPEN, Action.CLARIFY): SessionState.OPEN,
    (SessionState.OPEN, Action.HANDOFF): SessionState.ESCALATED,
    (SessionState.OPEN, Action.RESOLVE): SessionState.RESOLVED,
    (SessionState.RESOLVED, Action.CONTINUE): SessionState.OPEN,
    (SessionState.RESOLVED, Action.CLARIFY): SessionState.OPEN,
    (SessionState.RESOLVED, Action.HANDOFF): SessionState.ESCALATED,
    (SessionState.RESOLVED, Action.RESOLVE): SessionState.RESOLVED,
}
EVENTS = {
    Action.CONTINUE: "answered",
    Action.CLARIFY: "clarified",
    Action.HANDOFF: "escalated",
    Action.RESOLVE: "resolved",
}


def is_answered_here(state: SessionState) -> bool:
    """Whether the machine speaks in this state; in the others a person does."""
    return state is not SessionState.ESCALATED


def after(state: SessionState, action: Action) -> SessionState:
    """The state after the machine's turn; KeyError is a move that nobody has thought of."""
    return MOVES[state, action]
