"""What is new in a reply: the history that mail programs put below or between is cut. The mailbox keeps the whole."""

import re

# What a program writes above the mail it answers, in the languages we read; over at most three lines.
ATTRIBUTION = re.compile(
    r"^[ \t]*(On\b|Am\b|Le\b|El\b|Il\b|Op\b|Em\b|Den\b|W dniu\b)[^\n]{1,200}(\n(?!>)[^\n]{1,200}){0,2}?"
    r"(wrote|schrieb[^\n:]{0,80}|a écrit|escribió|ha scritto|schreef[^\n:]{0,80}|escreveu|skrev[^\n:]{0,80}|napisał)"
    r"[ \t]?:[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
WHEN_OR_WHO = re.compile(r"[\d@]")
SEPARATOR = re.compile(
    r"^[ \t]*(-{2,}[ \t]*"
    r"(Original Message|Ursprüngliche Nachricht|Message d'origine|Mensaje original|Messaggio originale)"
    r"[ \t]*-{2,}|_{20,})[ \t]*$"
    # Outlook: a block of the header lines, the first of them From.
    r"|^[ \t]*\*?(From|Von|De|Da|Van)\*?[ \t]?:[^\n]+\n([^\n]*\n){0,2}?"
    r"[ \t]*\*?(Sent|Date|Gesendet|Datum|Envoyé|Enviado)\*?[ \t]?:",
    re.MULTILINE | re.IGNORECASE,
)
NOTE = re.compile(r"^\[(Attached: |The mail has )[^\n]*\]$", re.MULTILINE)
GAPS = re.compile(r"\n{3,}")


def new_text(text: str) -> str:
    """The text without what it quotes; all of it where nothing would be left."""
    notes = NOTE.findall(text) and "\n".join(match.group() for match in NOTE.finditer(text))
    said = NOTE.sub("", text)
    if below := SEPARATOR.search(said):
        said = said[: below.start()]
    said = ATTRIBUTION.sub(lambda found: "" if WHEN_OR_WHO.search(found.group()) else found.group(), said)
    said = "\n".join(line for line in said.split("\n") if not line.lstrip().startswith(">"))
    said = GAPS.sub("\n\n", said).strip()
    return f"{said}\n\n{notes}".strip() if said and notes else said or text
