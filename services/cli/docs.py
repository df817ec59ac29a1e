"""`pointsman docs`: what conversations are answered from."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from psycopg import AsyncConnection
from pydantic import SecretStr

from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import RemoteSettings, open_platform
from services.core.kit.errors import InputInvalid
from services.core.kit.login import resolve
from services.core.kit.objects import SCHEMES, open_store
from services.core.kit.settings import PlatformSettings, read_settings
from services.local.home import Home

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from services.core.search.encoder import TextEncoder
    from services.core.search.indexing import Outcome, Progress

app = typer.Typer(no_args_is_help=True, help="Documents that conversations are answered from.")
THREADS = 2
EVERYONE = "everyone"  # the word that makes a collection public

SourceOption = Annotated[str, typer.Option(help="Name of the collection; lower case, digits, - and _.")]


@app.command("index")
def index(
    place: Annotated[str, typer.Argument(help="A folder, or a bucket: s3://..., gs://..., az://...")],
    source: SourceOption = "docs",
    acl: Annotated[
        str | None,
        typer.Option(
            help="Groups that may read them, with commas, or everyone; left out: as before, at first everyone."
        ),
    ] = None,
    base_url: Annotated[str, typer.Option(help="Where the files are published: answers link there.")] = "",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Bring a collection up to date: new and changed files in, vanished ones out, the rest left alone.

    Markdown, HTML, PDF, text, and transcripts (WebVTT, SRT) are read. A broken file is reported and skipped.

    Examples:

      pointsman docs index handbook/ --base-url https://help.example.com

      pointsman docs index s3://company-docs/hr --source hr --acl hr,managers
    """
    from services.core.search.indexing import Source, index_store

    wanted = Source(_valid(source), _groups(acl), base_url)
    store = _open(place)
    with open_platform() as settings, bar("Indexing") as progress:
        encoder = open_encoder(settings)
        outcome = with_database(settings, lambda conn: index_store(conn, encoder, store, wanted, progress=progress))
    _report(outcome, source, format)
    if outcome.broken and not (outcome.indexed or outcome.unchanged):
        raise typer.Exit(1)


@app.command("list")
def list_(
    source: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    What is indexed.

    Examples:

      pointsman docs list --source docs --format json
    """
    from services.core.search import documents

    with open_platform() as settings:
        rows = with_database(settings, lambda conn: documents.listing(conn, source))
    if format is Format.JSON:
        print_json(rows)
        return
    names = ("source", "uri", "title", "kind", "acl", "chunks", "updated_at")
    print_table(names, [[", ".join(row[n]) if n == "acl" else row[n] for n in names] for row in rows])


@app.command("remove")
def remove(
    uris: Annotated[list[str] | None, typer.Argument(help="Addresses as `pointsman docs list` shows them.")] = None,
    source: SourceOption = "docs",
    everything: Annotated[bool, typer.Option("--all", help="The whole collection.")] = False,
) -> None:
    """
    Forget documents, with their text and vectors.

    Examples:

      pointsman docs remove vpn/setup.md

      pointsman docs remove --source hr --all
    """
    from services.core.search import documents

    if bool(uris) == everything:
        raise typer.BadParameter("Name the addresses to remove, or --all for the whole collection.")

    async def forget(conn: AsyncConnection[Any]) -> int:
        return await documents.remove(conn, source, uris or sorted(await documents.known(conn, source)))

    with open_platform() as settings:
        typer.echo(f"{with_database(settings, forget)} documents removed.")


@app.command("encoder")
def encoder() -> None:
    """
    Put the text encoder into the object store; once for a deployment, `pointsman up` does it by itself.

    POINTSMAN_OBJECTS_URL alone names the store: no database is asked.

    Examples:

      pointsman docs encoder

      POINTSMAN_OBJECTS_URL=s3://acme-models pointsman docs encoder
    """
    if named := read_settings(RemoteSettings).objects_url:
        encoder_in(named)
    else:
        with open_platform() as settings:
            open_encoder(settings)
    typer.echo(f"The text encoder is in {named or 'the object store of this machine'}.")


def open_encoder(settings: PlatformSettings) -> "TextEncoder":
    """The text encoder of a platform."""
    return encoder_in(settings.objects_url)


def encoder_in(objects_url: str) -> "TextEncoder":
    """The text encoder, exported now when the object store does not have it."""
    from services.core.search.encoder import fetch_encoder, is_in

    store = open_store(objects_url)
    if not is_in(store):
        from services.trainer.text_encoder import put_encoder

        put_encoder(store)
    return fetch_encoder(store, threads=THREADS)


def home_encoder(home: Home) -> "TextEncoder":
    """The text encoder of this machine's own platform."""
    url = f"file://{home.folder / 'objects'}"
    return open_encoder(PlatformSettings(database_url=SecretStr(home.postgres.url), objects_url=url))


def with_database(settings: PlatformSettings, work: Any) -> Any:
    async def run() -> Any:
        url = settings.database_url.get_secret_value()
        async with await AsyncConnection.connect(resolve(url), autocommit=True) as conn:
            return await work(conn)

    return asyncio.run(run())


def _open(place: str) -> "ObjectStore":
    if place.partition("://")[0] in SCHEMES:
        return open_store(place)
    if not Path(place).is_dir():
        raise InputInvalid(f"There is no folder {place}. Name a folder or a bucket's address ({', '.join(SCHEMES)}).")
    return open_store(f"file://{Path(place).absolute()}")


def _valid(source: str) -> str:
    import re

    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", source):
        raise InputInvalid(f"'{source}' is no name for a collection. Use lower case, digits, - and _: it-handbook")
    return source


def _groups(acl: str | None) -> tuple[str, ...] | None:
    """Only the word makes documents public: an empty value is a variable that was not set."""
    if acl is None:
        return None
    groups = tuple(part.strip() for part in acl.split(",") if part.strip())
    if not groups or (EVERYONE in groups and len(groups) > 1):
        raise InputInvalid(f"--acl {acl!r} is not clear. Name groups, with commas, or the one word {EVERYONE}.")
    return () if groups == (EVERYONE,) else groups


def _report(outcome: "Outcome", source: str, format: Format) -> None:
    facts = {
        "source": source,
        "indexed": len(outcome.indexed),
        "chunks": outcome.chunks,
        "unchanged": outcome.unchanged,
        "removed": outcome.removed,
        "broken": outcome.broken,
    }
    if format is Format.JSON:
        print_json(facts)
        return
    for reason in outcome.broken.values():
        typer.echo(f"Skipped: {reason}", err=True)
    typer.echo(
        f"{len(outcome.indexed)} indexed ({outcome.chunks} chunks), {outcome.unchanged} unchanged, "
        f"{outcome.removed} removed, {len(outcome.broken)} skipped."
    )


@contextmanager
def bar(first: str) -> "Generator[Progress]":
    """A bar on the terminal, beside the output; `first` is what it says before anything is counted."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(first, total=None)

        def show(done: int, total: int, name: str) -> None:
            shown.update(task, completed=done, total=total, description=name or first)

        yield show
