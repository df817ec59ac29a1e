"""Dovecot 2.3, the real IMAP server: Debian's package with mailboxes of its own, behind TLS, on this machine only."""

import base64
import getpass
import hmac
import imaplib
import json
import os
import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from services.local.systems.program import Program, once, require

NAME = "Dovecot"
PACKAGES = ("dovecot-imapd", "openssl")
SERVER = Path("/usr/sbin/dovecot")
SIGN_IN = ("help", "only-on-this-machine")  # any user with this password has a mailbox
ROOTS = ("dovecot", "dovenull")  # the package's users: started by root it refuses to work as root
CONFIGURATION = """\
protocols = imap
base_dir = {folder}/run
listen = 127.0.0.1
log_path = /dev/stderr
ssl = required
auth_failure_delay = 0
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
mail_location = maildir:{folder}/mail/%u
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_uid = {internal}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
auth_mechanisms = plain oauthbearer xoauth2
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={internal} gid={group} home={folder}/mail/%u
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0   # nobody waits for the guesses that others made from this machine
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""
# Tokens are checked by their signature alone; the key's place is <azp>/<alg>/<kid>, both `default` where unsaid.
OAUTH = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = email
"""
TOKEN_KEY = b"only-on-this-machine, and 32 bytes"


@dataclass
class MailServer(Program):
    """`url` is its address; it answers when a user gets in."""

    port: int = 0

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    def token(self, user: str, *, lifetime_s: float = 600) -> str:
        """As the provider of this server's accounts makes them: a JWT, HS256."""
        now = int(time.time())
        claims = {"email": user, "sub": user, "iat": now, "exp": now + int(lifetime_s)}
        parts = [_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        return ".".join([*parts, _base64url(hmac.digest(TOKEN_KEY, ".".join(parts).encode(), "sha256"))])

    def answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with imaplib.IMAP4_SSL("127.0.0.1", self.port, ssl_context=context, timeout=5) as imap:
                imap.login(*self.sign_in)
        except (OSError, imaplib.IMAP4.error):
            return False
        return True


def dovecot(folder: Path, port: int) -> MailServer:
    """
    Made ready in `folder` on the first call, not yet started.

    Raises:
        ConfigurationInvalid: its package is not installed.
    """
    require(SERVER, name=NAME, packages=PACKAGES)
    folder = folder.absolute()
    internal, login = ROOTS if os.geteuid() == 0 else (getpass.getuser(),) * 2
    once(folder, lambda: _make(folder, internal))
    group = folder.joinpath("mail").group()
    words = {"folder": folder, "port": port, "internal": internal, "login": login, "group": group}
    (folder / "oauth2.conf").write_text(OAUTH.format(folder=folder), "utf-8")
    (folder / "dovecot.conf").write_text(CONFIGURATION.format(password=SIGN_IN[1], **words), "utf-8")
    return MailServer(
        name=NAME,
        folder=folder,
        url=f"imaps://127.0.0.1:{port}",
        sign_in=SIGN_IN,
        answers_at="",
        command=[str(SERVER), "-F", "-c", str(folder / "dovecot.conf")],
        environment={},
        working_folder=folder,
        port=port,
    )


def _make(folder: Path, internal: str) -> None:
    """A certificate of this machine, signed by itself, and a place for mail."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["-newkey", "rsa:2048", "-nodes", "-days", "3650", "-keyout", str(key), "-out", str(certificate)]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *made, *name], check=True, capture_output=True)
    (folder / "mail").mkdir()
    keys = folder / "keys/default/HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(base64.b64encode(TOKEN_KEY))
    if os.geteuid() == 0:
        shutil.chown(folder / "mail", internal, internal)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
