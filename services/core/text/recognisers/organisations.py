"""Companies by their legal form ("Köhler GbR", "Dias Chauveau SA"), whatever the language."""

import re
from collections.abc import Iterator

from services.core.text.recognisers.span import Span

_FORM = (
    r"Inc|LLC|L\.L\.C|Ltd|Limited|Corp|Corporation|Company|Co|PLC|plc|LLP|LP|GmbH|gGmbH|mbH|AG|KG|KGaA|OHG|oHG|GbR|UG|SE|e\.\s?V|eG|e\.\s?K|Stiftung"
    r"|SA|S\.A|SAS|S\.A\.S|SARL|S\.A\.R\.L|SASU|EURL|SNC|SCI|SL|S\.L|S\.L\.U|S\.L\.L|S\.L\.N\.?E|S\.A\.U|S\.A\.T|S\.Com|S\.Coop|SpA|S\.p\.A|Srl|S\.r\.l|BV|B\.V|NV|N\.V|AB|Oy|ApS|A/S|AS|Sp\. z o\.o"
    r"|Group|Holdings?|Partners|Associates|Technologies|Solutions|Industries|Analytics|Consulting|Capital|Ventures|Insurance|Bank|Foundation"
)
_WORD = r"[A-ZÀ-ÞŁŚŠŽ0-9][\w'’&.-]{0,30}"
_COMPANY = re.compile(
    rf"(?<![\w<])(?:{_WORD}(?: |, )(?:(?:&|y|et|und|and|e|de|del|du) )?){{1,4}}(?:asociados |associés |hijos |fils |Söhne )?(?:{_FORM})\b\.?(?: (?:& Co\.? (?:KG|OHG|KGaA)|& Co\b\.?))?"
)


class Organisations:
    """ORGANIZATION with a legal form or a word that only companies bear."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for match in _COMPANY.finditer(text):
            yield Span(match.start(), match.end(), "ORGANIZATION")
