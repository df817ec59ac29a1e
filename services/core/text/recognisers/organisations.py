"""Companies by their legal form ("Köhler GbR"), by words only companies bear, and by what says "I work for"."""

import re
from collections.abc import Iterator

from services.core.text.recognisers.name_cues import NAME
from services.core.text.recognisers.names import is_ordinary_word, is_technical
from services.core.text.recognisers.span import Span

# Longer forms first: S.A.R.L before S.A.
_FORM = (
    r"S\.A\.R\.L|S\.L\.N\.?E|S\.L\.L|S\.L\.U|S\.A\.S|S\.A\.U|S\.A\.T|S\.Coop|S\.Com|S\.p\.A|S\.r\.l|Sp\. z o\.o"
    r"|L\.L\.C|S\.A|S\.L|B\.V|N\.V|A/S"
    r"|e\.\s?V|e\.\s?K|Incorporated|Inc|LLC|Ltd|Limited|Corporation|Corp|PLC|plc|LLP|GmbH|gGmbH|mbH|KGaA|OHG"
    r"|oHG|GbR|SARL|SASU|SAS|EURL|SNC|SpA|Srl"
    r"|Oyj|Oy|ApS|AG|KG|UG|SE|SA|SL|BV|NV|AB"
)
# Words that end many company names, and people's job titles too: weaker than a name.
_KIND = (
    r"Group|Holdings?|Partners|Associates|Technologies|Software|Systems|Solutions|Industries|Analytics"
    r"|Consulting|Capital|Ventures|Insurance"
    r"|Bank|Foundation|Stiftung|Verlag|Werke|Assurances|Banque|Banco|Seguros|Services|Company|Research"
    r"|Investments|Labs|Media"
)
_WORD = r"[A-ZÀ-ÞŁŚŠŽ0-9][\w'’&-]{0,30}"
_CO = r"(?: ?& Co\.? ?(?:KGaA|KG|OHG)?)?"
_COMPANY = re.compile(
    rf"(?<![\w<])(?:{_WORD},? (?:(?:&|y|et|und|and) )?){{1,4}}(?:asociados |associés |hijos |fils "
    rf"|Söhne )?(?:(?P<form>{_FORM})|{_KIND})(?!\w)\.?{_CO}"
)
_COMPANY_NAME = rf"(?P<company>{_WORD}(?: (?:(?:&|y|et|und|and|of) )?{_WORD}){{0,3}})"
_EMPLOYED = re.compile(
    r"\b(?i:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|on behalf of|joined|left|arbeite(?:t|n)? (?:bei"
    r"|für)|firma|im auftrag von|travaille (?:chez|pour)"
    rf"|société|entreprise|trabajo (?:en|para)|trabaja (?:en|para)|empresa) {_COMPANY_NAME}"
)
# "This is Jane Doe from Acme"
_INTRODUCED = re.compile(
    rf"\b(?i:this is|i am|i['’]m|my name is|hier ist|hier spricht|ich bin|mein name ist|ici|je suis"
    rf"|je m['’]appelle|soy|me llamo) {NAME}"
    rf" (?:from|of|at|with|von|bei|de|chez|del?) (?:der |la )?{_COMPANY_NAME}"
)
_PERSON_FROM = re.compile(rf"\b{NAME} (?:is |ist |est |es )?(?:from|works for|works at) {_COMPANY_NAME}")


class Organisations:
    """ORGANIZATION; certain with a legal form."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for match in _COMPANY.finditer(text):
            if match["form"] or not _is_known(match.group()):
                yield Span(match.start(), match.end(), "ORGANIZATION", certain=bool(match["form"]))
        for pattern in (_EMPLOYED, _INTRODUCED, _PERSON_FROM):
            for match in pattern.finditer(text):
                if not _is_known(match["company"]):
                    yield Span(*match.span("company"), "ORGANIZATION")


def _is_known(company: str) -> bool:
    """Its first word is a product, a vendor or an everyday word: "Microsoft Research", "The Bank"."""
    first = company.split()[0].strip(",.'’")
    return is_technical(first) or is_ordinary_word(first)
