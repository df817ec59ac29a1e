"""
Street addresses: a core that only an address has (street word and house number, PO box, unit), plus what follows it.

Presidio has no recogniser for them. Every quantifier is bounded, so a search costs the same per character everywhere.
"""

import re
from collections.abc import Iterator
from functools import cache

from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span

# English street words follow the name: Baker Street.
_STREET_WORD = (
    "Street|Str|St|Road|Rd|Avenue|Ave|Av|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|Terrace|Place|Pl|Crescent|Close|Way|Highway"
    "|Hwy|Parkway|Pkwy|Trail|Grove|Gardens|Mews|Hill|Row|Walk|Circle|Alley|Mall|Bypass|Turnpike|Straat|Laan|Plein|Gade|Gate|Vej|Veien"
    "|terrasse|tér|út|utca|u|rkp|tee|tänav|puiestee"
)
# Germanic and Nordic street words end the name: Helene-Franke-Weg, Populierenstraat.
_STREET_SUFFIX = (
    r"(?:stra(?:ß|ss)e|str\.?|weg|platz|allee|gasse|ring|damm|ufer|markt|hof|steig|straat|laan|plein|gade|vej"
    r"|veien|vegen|gata|gatan|vägen"
    r"|katu|kuja|tie|utca|gatu|straede|stræde|vænget|ulica|boulevard|dreef|kade|singel|gracht|steeg|lei)"
)
# Romance and Slavic street words come first: Calle Mayor, rue de la Paix, ul. Cicha.
_STREET_PREFIX = (
    r"Rue|Avenue|Av\.?|Boulevard|Bd|Bld|Chemin|Impasse|Allée|Quai|Cours|Route|Passage|Sentier|Ruelle|Faubourg|Place"
    r"|Calle|C/|C\.|Cl\.|Avenida|Avda\.?|Plaza|Pza\.?|Paseo|Pasaje|Camino|Carretera|Ctra\.?|Vía|Ronda|Rambla"
    r"|Glorieta|Travesía|Cuesta"
    r"|Callejón|Acceso|Alameda|Urbanización|Pl\.|Rúa|Rua|Travessa|Praça|Estrada|Strada|Piazza|Corso|Viale|Via"
    r"|[Uu]l\.|[Uu]lica|Trg|[Pp]lac|pl\.|[Aa]l\.|[Aa]leja|[Oo]s\.|[Oo]siedle|Vicolo|Largo|Piazzale|Contrada|Beco|Quinta|Bairro"
    r"|rue|avenue|boulevard|chemin|impasse|quai|calle|avenida|via|rua"
    r"|An der|Auf der|Auf dem|Im|Zum|Zur|Am|Unter den"
)
_NUMBER = r"\d{1,5}(?:[a-zA-Z]\b| ?[-/] ?\d{1,4}[a-zA-Z]?\b)?\.?"
_LINK = r"(?:de|del|la|las|los|le|les|l['’]|des|du|do|da|dos|das|di|dei|delle|della|al|el|von|van|der|den|of|the|y|e)"
_UNIT = (
    r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Piso|Puerta|Esc|Bloque|Bât|Bâtiment|Appt|Étage|Wohnung|Box|Postbox"
    r"|P\. ?O\. ?Box|PO Box|Postfach"
    r"|Apartado(?: de Correos)?|PSC)\.? ?#?\d{1,6}\b"
)
_MILITARY = r"[APDF]PO A[AEP] \d{5}\b"
# What may follow a number and still be no street.
_NO_STREET = (
    r"(?!(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember|AM|PM)\b)"
)

# What may follow an address on its own line and still be no place.
_NO_PLACE = (
    r"(?!(?i:thanks|thank you|regards|best|kind|please|hi|hello|phone|tel|e-?mail|fax|mobile|mit|viele|danke"
    r"|liebe|gruß|cordialement|merci"
    r"|bonjour|un saludo|saludos|gracias|atentamente|from|to|sent|subject)\b)"
)

# Words before the number that say an address follows.
_CUE = (
    r"(?:\b(?:lives? (?:at|on|in)|lived in|located (?:at|in|on)|address(?:es)?(?: (?:is|to|with))?|side of"
    r"|corner of|return to|deliver(?:ed)? to"
    r"|ship(?:ped)? to|taxi to|offices? (?:are |is )?(?:at|in)|moved to|wohnhaft|adresse(?: lautet| ist)?"
    r"|anschrift|habite|dirección(?: es)?|domicilio|vive en))"
)


class Addresses:
    """STREET_ADDRESS with the unit, post code and place that follow it."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        address, after_cue = _patterns(text.islower())
        for match in address.finditer(text):
            if not (match["loose"] and _is_technical(match["loose"])):
                yield Span(match.start(), match.end(), "STREET_ADDRESS")
        for match in after_cue.finditer(text):
            yield Span(*match.span(1), "STREET_ADDRESS")


@cache
def _patterns(lower_case: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The address and the address after a cue; in a text without capitals a street's words have none either."""
    # Possessive and without hyphen, which separates: else one text could be split in 30^5 ways.
    cap = r"[^\W\d_][\w'’.]{0,30}+" if lower_case else r"(?=[^\W\d_])[^a-zß-öø-ÿ\W][\w'’.]{0,30}+"
    name = rf"{_NO_STREET}{cap}(?:[ -](?:{_LINK} ){{0,2}}{cap}){{0,4}}"
    plain_name = rf"{_NO_STREET}{cap}(?:[ -]{cap}){{0,4}}"
    core = "|".join(
        (
            rf"(?:\d{{1,6}} )?{_NUMBER},? {plain_name} (?:{_STREET_WORD})\b\.?"
            rf"(?: (?:{_STREET_WORD})\b\.?)?(?: {_NUMBER})?",
            rf"(?:\d{{1,6}} )?{plain_name} (?:{_STREET_WORD}|gate|gata|street|road)\b\.? {_NUMBER}",
            rf"(?:\d{{1,6}} )?(?:(?:{cap}[ -]){{1,4}}"
            rf"|(?:{cap}[ -]){{0,3}}[^\W\d_][\w'’.]{{0,30}}?)(?i:{_STREET_SUFFIX}) {_NUMBER}",
            rf"(?:\d{{1,6}},? ){{0,2}}(?<!\w)(?:{_STREET_PREFIX})(?:[ ]|(?<=[./]))(?:{_LINK} ?){{0,3}}{name}"
            rf"(?:,? (?:n[º°] ?)?{_NUMBER}|(?=,? ?\n?\d{{4,5}} )|(?=,))",
            rf"(?:\d{{1,5}},? )(?:bis |ter )?(?:{_STREET_PREFIX}) (?:{_LINK} ?){{0,3}}{name}",
            rf"(?:\d{{1,5}},? ?){{1,2}}(?:bis |ter )?(?:rue|avenue|boulevard|bd|chemin|impasse|allée|quai|place"
            rf"|cours) (?:{_LINK} ?){{0,3}}{name}",
            rf"(?:rue|avenue|boulevard|bd|chemin|impasse|allée|quai"
            rf"|place) (?:{_LINK} ?){{0,3}}{name}(?:,? {_NUMBER})?(?=, ?\d{{5}})",
            rf"(?:\d{{1,6}},? )?(?<!\w)(?:calle|avenida|avda\.?|plaza|paseo|pasaje|camino|carretera|via|vía"
            rf"|ronda|ul\.) (?:{_LINK} ?){{0,3}}{name},? (?:n[º°] ?)?{_NUMBER}",
            rf"\b\d{{1,6}} {plain_name}(?=,? {_UNIT})",  # 903 Dora Creek Apt. 176
            rf"(?:\d{{2,6}} )?\b{_UNIT}",
            # 5049 Harjukuja 54: a number on both sides of a name
            rf"(?P<loose>\b\d{{2,6}} {plain_name} \d{{1,4}}[a-zA-Z]?\b\.?)",
            rf"(?:US[NS][VS]? {cap}\s{{1,2}})?\b{_MILITARY}",
        )
    )
    place = rf"{cap}(?:[ -](?:{_LINK} ){{0,2}}{cap}){{0,4}}"
    gap = r"[\s,>?|]{1,6}"
    tail = (
        rf"(?:{gap}(?:{_UNIT}|{_MILITARY}|\d{{4,5}}(?:-\d{{3}})? ?(?:[A-Z]{{2}} )?,? ?{place}|\d{{2}}-\d{{3}} {place}"
        rf"|{place}(?:,? [A-Z]{{2,3}})?(?: ?\([A-Z]\w{{2,20}}\))? \d{{4,5}}\b|\d{{5}}\b)|(?:, ?"
        rf"|\s?\n[ >?]{{0,5}}){_NO_PLACE}{place}(?=\s*[,\n.]|\s*$)){{0,5}}"
    )
    flags = re.I if lower_case else re.NOFLAG
    return re.compile(rf"(?<!\w)(?:{core}){tail}", flags), re.compile(
        rf"(?i:{_CUE}):?\s+({name} \d{{1,5}}\b[a-z]?)", flags
    )


def _is_technical(address: str) -> bool:
    """It reads like "Server 2016 Standard 64": a technical or an ordinary word stands where the street would."""
    found = [word.lower() for word in re.findall(r"[^\W\d_]{2,}", address)]
    return any(word in words("technology") or word in words("not_streets") for word in found)
