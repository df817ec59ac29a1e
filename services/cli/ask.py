"""`pointsman ask`: a question to the chat from a terminal."""

import uuid
from typing import Annotated, Any

import httpx
import typer

from services.cli.output import Format, FormatOption, print_json
from services.core.answer.redirect import shows_sources
from services.core.contracts.conversation import Answer
from services.core.contracts.document import Evidence
from services.core.kit.errors import InputInvalid, PointsmanError, Unauthenticated, Unavailable
from services.core.kit.settings import read_settings
from services.local.home import Home, LocalSettings

TIMEOUT_S = 60.0


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    session: Annotated[str, typer.Option(help="Go on with a conversation: ID:TOKEN, as an earlier answer shows.")] = "",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Ask this machine's chat; it answers from documents, asks back, or hands over to a person.

    Examples:

      pointsman ask "How do I connect to the VPN?"

      pointsman ask "I want to talk to a human" --format json
    """
    with httpx.Client(base_url=Home(read_settings(LocalSettings)).rag_url, timeout=TIMEOUT_S) as http:
        session_id, _, token = session.partition(":")
        if session and not (session_id and token):
            raise typer.BadParameter("--session reads ID:TOKEN, as an earlier answer shows it.")
        if not session:
            opened = _post(http, "/sessions", None, {})
            session_id, token = opened["id"], opened["token"]
        said = {"text": question, "id": str(uuid.uuid4())}
        answered = _post(http, f"/sessions/{session_id}/messages", token, said)
    answer = answered["answer"]
    if format is Format.JSON:
        print_json({"session": f"{session_id}:{token}", "answer": answer and answer["answer"]})
        return
    if answer is None:
        typer.echo("A person has this conversation; your message was passed on.")
        return
    typer.echo(answer["text"])
    for one in answer["answer"]["evidence"] if shows_sources(Answer.model_validate(answer["answer"])) else ():
        typer.echo(f"  Source: {one['title']} ({Evidence.model_validate(one).link})")
    typer.echo(f"Go on with: --session {session_id}:{token}", err=True)


def _post(http: httpx.Client, path: str, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = http.post(path, json=body, headers={"Authorization": f"Bearer {token}"} if token else {})
    except httpx.HTTPError as exc:
        raise Unavailable(f"No chat answers at {http.base_url} ({type(exc).__name__}). Start it: pointsman up") from exc
    if not answer.is_success:
        raise _refused(answer)
    return answer.json()


def _refused(answer: httpx.Response) -> PointsmanError:
    if answer.status_code == 401:
        return Unauthenticated("The chat does not know this --session; it may have been erased. Ask without it.")
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = f"Something answered {answer.status_code} at {answer.url}, and it is not the chat."
    return InputInvalid(message) if answer.status_code == 422 else Unavailable(message)
