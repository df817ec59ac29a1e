"""`pointsman smoke`: does what `pulumi up` made work?"""

from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_outcomes
from services.cli.stack import CloudArgument, ContractOption, ProfileOption, contract_text


def smoke(
    cloud: CloudArgument,
    profile: ProfileOption = "dev",
    contract: ContractOption = None,
    database_user: Annotated[str, typer.Option(help="who logs in; without it the Gateway's user")] = "",
    format_: FormatOption = Format.TABLE,
) -> None:
    """Looks at each capability of a deployed stack, sends an object and a message, uses it as its pods do."""
    from infra.smoke.run import contract_of
    from infra.smoke.run import smoke as run
    from infra.smoke.use import use

    stack = contract_of(contract_text(cloud, profile, contract), cloud)
    print_outcomes([*run(stack), *use(stack, user=database_user)], format_)
