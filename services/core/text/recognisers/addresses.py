"""
Street addresses: a core that only an address has (street word and house number, PO box, unit), plus what follows it.

Presidio has no recogniser for them. Every quantifier is bounded, so a search costs the same per character everywhere.
"""

import re
from collections.abc import Iterator

from services.core.text.recognisers.span import Span

_STREET_WORD = (
    "street|str|st|road|rd|avenue|ave|av|lane|ln|drive|dr|boulevard|blvd|court|ct|square|sq|terrace|place|pl|crescent|close|way|highway|hwy"
    "|parkway|pkwy|trail|grove|gardens|mews|hill|row|walk|circle|alley|mall|bypass|rapids|parks?|plaza"
    "|strasse|straße|gasse|weg|platz|allee|ring|damm|ufer|chaussee|promenade"
    "|straat|laan|plein|gade|vej|gata|gatan|vägen|katu|tie|utca|tér|út"
)
_STREET_SUFFIX = "(?:stra(?:ß|ss)e|strasse|str\\.?|weg|platz|allee|gasse|ring|damm|ufer|straat|laan|gade|vej|veien|gata|gatan|vägen|katu|katu|utca)"
_STREET_PREFIX = (
    "rue|avenue|av\\.|boulevard|bd|bld|chemin|place|impasse|allée|allee|quai|cours|route|square|passage|sentier|ruelle|faubourg"
    "|calle|c/|c\\.|avenida|avda\\.?|av\\.|plaza|pza\\.?|paseo|pasaje|camino|carretera|ctra\\.?|via|vía|ronda|rambla|glorieta|travesía|cuesta|callejón|acceso|alameda|urbanización"
    "|rua|rúa|travessa|praça|strada|piazza|corso|viale|ul\\.|ulica"
    "|am|an der|auf der|auf dem|im|in der|zum|zur|alter|alte|große|kleine|unter den"
)

_CAP = r"[^\W\da-zß-öø-ÿ_][\w'’.-]{0,30}"  # a capitalised word of any script
_WORD = r"[^\W\d_][\w'’.-]{0,30}"
_NO = r"\d{1,5}(?: ?[a-zA-Z]\b| ?[-/] ?\d{1,4}[a-zA-Z]?)?\.?"
_UNIT = r"(?:apt|apartment|suite|ste|flat|unit|floor|piso|puerta|esc|bloque|bât|bâtiment|appt|etage|stock|wohnung)\.? ?#?\d{1,5}(?: ?[a-z]\b)?"
_NOT_STREET = (
    r"(?!\d+ (?:version|build|release|error|page|line|port|server|ticket|service|windows|users?|days?|hours?|minutes?|and|or|of|to|the|in|on|at|for|with|"
    r"times|items?|units?|x|gb|mb|und|oder|von|bis|et|ou|de|y|o|a|euros?|usd|eur)\b)"
)
_CUE = r"(?:\b(?:lives? (?:at|on|in)|live in|lived in|located (?:at|in|on)|address(?:es)?(?: (?:is|to|with))?:?|side of|corner of|return to|deliver(?:ed)? to|ship(?:ped)? to|taxi to|office (?:at|is|in)|at:?|adresse:?|wohnhaft in|dirección:?|domicilio:?))"
_CORE = "|".join(
    (
        rf"(?:\d{{1,5}} )?\b{_NO},? (?:{_WORD} ){{1,4}}(?:{_STREET_WORD})\b\.?",  # 221b Baker Street
        rf"(?:\d{{2,5}} )?(?:{_CAP}[ -]){{0,3}}[\w'’.-]{{1,30}}?{_STREET_SUFFIX} {_NO}",  # Helene-Franke-Weg 4-1
        rf"(?:\d{{1,5}},? )?(?:\d{{1,5}}(?: (?:bis|ter))?,? )?(?<!\w)(?:rue|avenue|boulevard|bd|chemin|impasse|allée|quai|place)(?: {_WORD}){{1,6}}(?= ?[,\n]| \d)(?: \d{{1,5}}\b)?",
        rf"(?:\d{{1,5}},? )?(?<!\w)(?:{_STREET_PREFIX}) (?:{_WORD} ){{1,6}}?(?:n[º°] ?)?{_NO}",  # Calle de la Luna 5
        rf"\b\d{{2,5}} {_NOT_STREET}(?:{_WORD} ){{1,4}}\d{{1,5}}\b[a-zA-Z]?\b\.?",  # 5049 Harjukuja 54
        r"(?:\d{2,5} )?\b(?:PSC \d{1,5},? Box \d{1,5}|Unit \d{1,5},? Box \d{1,5}|P\.? ?O\.? ?Box \d{1,6}|Postbox \d{1,6}|Postfach \d{1,8}|Apartado(?: de Correos)? \d{1,6})\b",
        rf"(?:\d{{2,5}} )?{_UNIT}",
        r"\b[APDF]PO A[AEP] \d{5}\b",
    )
)
_TAIL = rf"(?:[\s,>?]{{1,6}}(?:{_UNIT}|\d{{4,5}} {_CAP}(?:[ -]{_CAP}){{0,4}}|[APDF]PO A[AEP] \d{{5}}|{_CAP}(?:[ -]{_CAP}){{0,4}}(?:(?: |, ?)[A-Z]{{2,3}})? \d{{4,5}}|\d{{5}}(?=\s|$))){{0,4}}"
_ADDRESS = re.compile(rf"(?:{_CORE}){_TAIL}", re.I)
_AFTER_CUE = re.compile(rf"{_CUE}\s+({_WORD}(?: {_WORD}){{0,3}} \d{{1,5}}\b[a-z]?)", re.I)


class Addresses:
    """STREET_ADDRESS with the unit, post code and place that follow it."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for match in _ADDRESS.finditer(text):
            yield Span(match.start(), match.end(), "STREET_ADDRESS")
        for match in _AFTER_CUE.finditer(text):
            yield Span(*match.span(1), "STREET_ADDRESS")
