"""`pointsman keys`: API keys for machines and people."""

from enum import StrEnum
from typing import Annotated

import typer
from psycopg.rows import dict_row

from services.cli.output import Format, FormatOption, print_json, print_table
from services.cli.target import open_platform
from services.core.kit import audit
from services.core.kit.errors import NotFound
from services.core.kit.schema import connected
from services.core.kit.security import Role, create_key

REVOKE = """
update api_keys set revoked_at = now() where (id = %(id)s or opened_by = %(id)s) and revoked_at is null
"""

# Sessions of the console are in the same table, each under the key that opened it.
LIST = """
select id, name, role, created_at, revoked_at,
       (select count(*) from api_keys s
        where s.opened_by = k.id and s.revoked_at is null and s.expires_at > now()) as sessions
from api_keys k where opened_by is null order by created_at
"""

app = typer.Typer(no_args_is_help=True, help="API keys: made, listed, revoked.")


class RoleName(StrEnum):
    VIEWER = "viewer"
    AGENT = "agent"
    ADMIN = "admin"


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    role: Annotated[
        RoleName, typer.Option(help="viewer reads, agent reviews and submits, admin replays.")
    ] = RoleName.AGENT,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Make a key. It is shown once; only its hash is kept.

    Examples:

      pointsman keys create n8n --role agent
    """
    with open_platform() as settings, connected(settings) as conn:
        key = create_key(conn, name=name, role=Role[role.name])
    if format is Format.JSON:
        print_json({"name": name, "role": role, "key": key})
    else:
        typer.echo(key)


@app.command("list")
def list_keys(format: FormatOption = Format.TABLE) -> None:
    """
    The keys there are, without their secrets, and how many sessions of the console each has open.

    Examples:

      pointsman keys list --format json
    """
    columns = ("id", "name", "role", "created_at", "revoked_at", "sessions")
    with open_platform() as settings, connected(settings) as conn:
        rows = conn.cursor(row_factory=dict_row).execute(LIST).fetchall()
    if format is Format.JSON:
        print_json(rows)
    else:
        print_table(columns, [[row[c] for c in columns] for row in rows])


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")]) -> None:
    """
    Make a key useless from now on, and end the console's sessions that it opened.

    Examples:

      pointsman keys revoke 3f2a90bc11de
    """
    with open_platform() as settings, connected(settings) as conn:
        done = conn.execute(REVOKE, {"id": key_id})
        if not done.rowcount:
            raise NotFound(f"There is no valid key {key_id}. See: pointsman keys list")
        audit.append_now(conn, audit.Entry("operator", "key.revoked", f"key/{key_id}", {}))
    typer.echo(f"Revoked {key_id}.")
