"""Request Tracker 5, the real one: Debian's package on a SQLite database of its own."""

import json
from collections.abc import Mapping
from pathlib import Path

from services.local.systems.program import Program, once, prepare, require

NAME = "Request Tracker"
PACKAGES = ("request-tracker5", "rt5-standalone", "rt5-db-sqlite")
SERVER = Path("/usr/share/request-tracker5/libexec/rt-server")
SETUP = Path("/usr/sbin/rt-setup-database-5")
SIGN_IN = ("root", "password")  # what its own installer sets; it listens on this machine only
WORKERS = 3  # each compiles what it is first asked for
CONFIGURATION = """\
Set($rtname, 'desk.example');
Set($Organization, 'desk.example');
Set($Timezone, 'UTC');
Set($WebDomain, '127.0.0.1');
Set($WebPort, {port});
Set($WebPath, '');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{folder}/database');
Set($WebSessionClass, 'Apache::Session::File');
Set($MailCommand, 'testfile');   # writes no mail to anybody
Set($BcryptCost, 4);   # REST 2 checks the password on each call: .25 s of processor at its own 12
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
{ours}1;
"""


def request_tracker(
    folder: Path,
    port: int,
    settings: Mapping[str, str] | None = None,
    data: Mapping[Path, Mapping[str, str]] | None = None,
) -> Program:
    """
    Made ready in `folder` on the first call (2 s), not yet started. `settings` go into its configuration; `data` are
    initialdata files for its new database, each with the variables that it reads.

    Raises:
        ConfigurationInvalid: its packages are not installed.
        Unavailable: its database could not be made.
    """
    for path in (SERVER, SETUP):
        require(path, name=NAME, packages=PACKAGES)
    folder = folder.absolute()
    environment = {
        "RT_SITE_CONFIG": str(folder / "site.pm"),
        "RT_SITE_CONFIG_DIR": str(folder / "none"),  # not the package's own answers
        "HOME": str(folder),
        "TMPDIR": str(folder),  # sessions
    }

    def configure() -> None:
        (folder / "none").mkdir(exist_ok=True)
        ours = "".join(f"Set(${name}, {json.dumps(value)});\n" for name, value in (settings or {}).items())
        (folder / "site.pm").write_text(CONFIGURATION.format(port=port, folder=folder, ours=ours), "utf-8")

    def make() -> None:
        configure()
        prepare([str(SETUP), "--action", "init", "--skip-create"], environment, name=NAME, folder=folder)
        for file, read in (data or {}).items():
            _insert(file, {**environment, **read}, folder)

    once(folder, make)
    configure()  # again: the port may be another one
    return Program(
        name=NAME,
        folder=folder,
        url=f"http://127.0.0.1:{port}",
        sign_in=SIGN_IN,
        answers_at="/REST/2.0/rt",
        command=[str(SERVER), "--port", str(port), "--host", "127.0.0.1", "--max-workers", str(WORKERS)],
        environment=environment,
        working_folder=folder,
    )


def insert(program: Program, data: Path, environment: Mapping[str, str] | None = None) -> None:
    """Puts an initialdata file into its database, as an administrator of RT would."""
    _insert(data, {**program.environment, **(environment or {})}, program.folder)


def _insert(data: Path, environment: Mapping[str, str], folder: Path) -> None:
    command = [str(SETUP), "--action", "insert", "--skip-create", "--datafile", str(data)]
    prepare(command, environment, name=NAME, folder=folder)
