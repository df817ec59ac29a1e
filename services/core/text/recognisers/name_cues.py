"""The words of English, German, French and Spanish that stand before a person's name, and how names are written."""

import re

_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĘĚĞĪĮİŁŃŅŇŌŐŒŔŘŚŞŠŤŪŮŰŲŹŻŽΑ-ΩА-Я"
WORD = rf"[{_UPPER}](?:[^\W\d_]|['’](?!s\b)){{0,24}}(?:-[^\W\d_]{{1,24}}){{0,2}}"
LINK = (
    r"(?:de la|de los|de las|van der|van den|von der|de|del|la|le|du|des|da|dos|di|van|von|zu|zum|ter|ten"
    r"|den|der|bin|al|el|y|e)"
)
_MORE = rf"(?: (?:{LINK} ){{0,2}}(?:{WORD}|[{_UPPER}]\b\.?))"
NAME = rf"{WORD}{_MORE}{{0,3}}"
FULL_NAME = rf"{WORD}{_MORE}{{1,3}}"
FOLLOWING = re.compile(rf"{_MORE}{{1,3}}")
PAIR = re.compile(rf"({WORD}) (?:[{_UPPER}]\.? )?({WORD})")
AND = frozenset(("and", "und", "et", "y"))
ENUMERATION = re.compile(rf"\b{WORD}(?:, {WORD}){{0,20}},? (?:and|und|et|y|&) {WORD}\b")
LOWER_ENUMERATION = re.compile(r"\b[^\W\d_]{3,20}(?:, [^\W\d_]{3,20}){1,20},? (?:and|und|et|y|&) [^\W\d_]{3,20}\b")
LINKS = frozenset(re.findall(r"[a-z]+", LINK))

_TITLE = (
    r"Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herrn?|Frau|Fräulein|Hr|Fr|Mme|Mlle|Madame|Monsieur|Mademoiselle|Sr|Sra"
    r"|Srta|[Ss]eñora?|[Ss]eñorita|[Dd]on|[Dd]oña|Dña"
    r"|[Mm]evrouw|[Mm]evr|[Mm]w|[Mm]eneer|[Dd]hr|[Hh]eer|[Ss]ignora?|[Ss]ig(?:\.ra)?|[Dd]ott(?:\.ssa)?"
    r"|[Dd]ottore|[Dd]ottoressa"
    r"|[Pp]an(?:i|ią|em|a|u)?|[Ss]enhora?|[Ee]ng"
)
TITLED = re.compile(rf"\b({_TITLE}|M|D)(?:\. ?| )(?:(?:Dr|Prof|med)\.? ){{0,2}}({NAME})")
_ROLE = (
    r"colleague|manager|supervisor|boss|coworker|co-worker|contact(?: person)?|account holder|assignee"
    r"|requester|employee|assistant|kid|son"
    r"|daughter|wife|husband|partner|friend|mother|father|brother|sister|user|owner|customer|client|beneficiary"
    r"|kollegen?|kollegin|vorgesetzte[rn]?|chefin?|kunden?|kundin|ansprechpartner(?:in)?|kontoinhaber(?:in)?"
    r"|karteninhaber(?:in)?"
    r"|mitarbeiter(?:in)?|kontakt|sachbearbeiter(?:in)?|nutzer(?:in)?|benutzer(?:in)?|inhaber(?:in)?"
    r"|empfänger(?:in)?|auftraggeber(?:in)?"
    r"|collègues?|responsable|titulaire|interlocut(?:eur|rice)|employée?|cliente?|bénéficiaire|utilisat(?:eur"
    r"|rice)|destinataire|assistante?"
    r"|compañer[oa]|titular|contacto|jef[ea]|emplead[oa]|usuari[oa]|beneficiari[oa]|encargad[oa]"
    r"|destinatari[oa]|asistente"
    r"|collega|leidinggevende|contactpersoon|eigenaar|medewerker|werknemer|gebruiker|klant|ontvanger|aanvrager"
    r"|responsabile|contatto|titolare|proprietari[oa]|dipendente|utente|beneficiari[oa]|assistente|destinatari[oa]"
    r"|kolega|koleżanka|kierownik|szef|osoba kontaktowa|właściciel(?:ka)?|pracowni(?:k|ca|ka)|użytkownik"
    r"|klient(?:ka)?|odbiorca"
    r"|colega|gerente|chefe|contato|proprietári[oa]|funcionári[oa]|utilizador(?:a)?|usuári[oa]|responsável"
    r"|destinatári[oa]"
)
_GREETING = (
    r"hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|moin"
    r"|servus|sehr geehrter?"
    r"|bonjour|bonsoir|salut|chère?|cher|hola|estimad[oa]|querid[oa]|buen[oa]s (?:días|tardes|noches)"
    r"|goede(?:morgen|middag|navond)|beste|geachte|buongiorno|buonasera|ciao|salve|gentile|car[oa]|dzień dobry"
    r"|cześć|witam"
    r"|szanown[ya](?: pani| panie)?|drog[ai]|bom dia|boa (?:tarde|noite)|olá|oi|car[oa]|prezad[oa]|exm[oa]"
)
_CLOSING = (
    r"(?:kind|best|warm)(?: regards)?|regards|sincerely|cheers|thanks|thank you|many thanks|thx|yours|rgds|br"
    r"|(?:mit )?(?:freundliche[nmr]?|viele|beste|liebe|herzliche)n? gr(?:ü|ue)(?:ß|ss)en?|gru(?:ß|ss)|mfg|vg|lg|danke"
    r"|cordialement|bien à vous|salutations|cdlt|bonne journée|merci(?: d['’]avance)?|respectueusement"
    r"|(?:un )?(?:cordial )?saludos?|atentamente|atte|gracias|cordialmente|gracias de antemano"
    r"|(?:met )?(?:vriendelijke|hartelijke) groet(?:en)?|groet(?:en|jes)?|mvg|bedankt|alvast bedankt"
    r"|(?:cordiali|distinti) saluti|saluti|grazie(?: mille)?|(?:serdecznie )?pozdrawiam|pozdrowienia"
    r"|z poważaniem|dziękuję|dzięki"
    r"|(?:com os melhores )?cumprimentos|atenciosamente|atentamente|obrigad[oa]|abraços?"
)
# A full name must follow these: what follows them is often no name.
_WEAK = (
    r"name|this is|i am|i['’]m|says|said|attn|attention|ich bin|hier (?:ist|spricht|schreibt)"
    r"|unterzeichnet(?: von)?|i\. ?a\.|i\. ?v\.|im auftrag"
    r"|je suis|ici|c['’]est|signé|au nom de|de la part de|nom|soy|le habla|aquí|firmado|a nombre de|de parte de"
    r"|nombre|its|it['’]s|it is|met|hier is|namens|naam|sono|mi chiamo|nome|a nome di|da parte di|tu"
    r"|z tej strony|nazywam się|imię"
    r"|sou|daqui|em nome de|da parte de"
)
_STRONG = (
    r"my name(?: is|['’]s)|(?:everyone )?calls? me|mein name ist|ich hei(?:ß|ss)e|je m['’]appelle|mon nom est"
    r"|me llamo|mi nombre es"
    r"|named(?: him| her)?|namens|nommée?|llamad[oa]"
    r"|mijn naam is|ik heet|mi chiamo|il mio nome è|nazywam się|mam na imię|chamo-me|me chamo|meu nome é"
)
CUES = tuple(
    re.compile(cue)
    for cue in (
        rf"(?i:\b(?:{_WEAK})\b:? ?:? )({FULL_NAME})",
        rf"(?i:\b(?:{_STRONG}) )({NAME})",
        rf"(?i:\b(?:{_ROLE})(?: (?:is|ist|est|es|named?|namens))? ?:? )(?:(?:{_TITLE}|M)\.? )?({FULL_NAME})",
        rf"(?m:^)[ >]{{0,4}}(?i:{_GREETING}),? ({NAME})(?=\s*[,!.:\n-]|\s*$)",
        rf"(?i:\b(?:{_CLOSING})\b)(?i: und danke| again| a todos| cordiales"
        rf"| distinguées)?[ ,.!]{{0,3}}\n?[ >\n]{{0,4}}({NAME})(?=[ .]{{0,2}}(?:\n|,|\||$))",
        # "Megan lives", "Danial, can I": only people do that
        rf"\b({NAME})(?=(?i: (?:lives?|lived|said|told|asked|replied|wrote|complained|phoned|emailed"
        rf"|resigned|retired)\b))",
        rf"(?:^|[.!?\n] ?)({WORD})(?=, (?:can|could|would|will|please) )",
        # a line that is a name alone, in a block that goes on with a number or a mail address
        rf"(?m:^)[ >?|*]{{0,6}}({FULL_NAME})[ ]?(?=\n(?:[^\n]{{0,60}}\n){{0,4}}[^\n]{{0,60}}[@\d])",
    )
)
# In a text without capitals only titles and introductions that nothing but a name follows.
_LOWER_NAME = r"[^\W\d_]{2,25}(?:[ -][^\W\d_]{1,25}){0,2}"
_LOWER_PAIR = r"[^\W\d_A-Z]{2,20}(?:['’-][^\W\d_]{1,20})? [^\W\d_A-Z]{2,20}(?:['’-][^\W\d_]{1,20})?"
LOWER_CUES = (
    re.compile(
        rf"\b(?:mr|mrs|ms|miss|dr|prof|herrn?|frau|mme|mlle|sra?|señora?|mevrouw|meneer|signora?"
        rf"|senhora?)\.? ({_LOWER_NAME})"
    ),
    re.compile(
        r"\b(?:my name is|calls me|mein name ist|ich heiße|je m['’]appelle|me llamo|mi nombre es|mijn naam is|ik heet"
        rf"|mi chiamo|il mio nome è|nazywam się|mam na imię|chamo-me|me chamo|meu nome é) ({_LOWER_NAME})"
    ),
    # two words nobody uses otherwise, and then an end: "hi, this is sylwia larsson from accounting"
    re.compile(
        r"(?i:\b(?:this is|i am|i['’]m|hier ist|hier is|ich bin|ici|c['’]est|je suis|soy|sono|sou"
        r"|met|tu|daqui)) "
        rf"({_LOWER_PAIR})(?=[,.!\n]|$| (?:from|with|again|here|in|von|aus|vom|de|du|del|della|van|uit|z|ze|da"
        rf"|do|dos)\b)"
    ),
)
REVERSED = re.compile(
    rf"(?:(?P<cue>\b(?i:to|by|for|an|von|für|à|pour|a|para|por|aan|voor|van|per|osobie|dla|od|ao|user|employee"
    rf"|name):? ))?"
    rf"(?<![^\W_])(?P<family>{WORD}(?:[ -]{WORD})?), (?P<first>{WORD})(?![^\W_])"
)
LAST_LINE = re.compile(rf"\n({WORD} (?:(?:{LINK} )?{WORD} )?(?:{LINK} )?{WORD})[ .]*$")
# Endings of family names in Slavic, Nordic, Baltic, Germanic, Romanian, Greek, Armenian, Georgian and Turkish use.
FAMILY_NAME = re.compile(
    rf"[{_UPPER}][^\W\d_]{{1,18}}(?:s?sson|sen|dóttir|dottir|datter|ová|ova|ski|ska|cki|cka|wicz|czyk|czak|ov"
    rf"|ev|eva|ić|ič|enko|chuk|yuk"
    r"|[aeiouäö]nen|gård|qvist|quist|ström|strøm|mann|meier|meyer|maier|escu|eanu|ský|ská|poulos|akis|idis|oğlu"
    r"|oglu|yan|shvili|adze|ffy)"
)

# "cordiali saluti,\nmate musatti", "gruß anna lind", "thanks, anna lind"
_LOWER_WORD = r"[^\W\d_A-Z]{2,20}(?:['’-][^\W\d_A-Z]{1,20})?"
_LOWER_WORDS = rf"{_LOWER_WORD}(?: {_LOWER_WORD}){{1,2}}"
LOWER_SIGNATURE = re.compile(
    rf"(?:(?m:^)[ >]{{0,4}}|[.,!?] )(?i:{_CLOSING})(?:[ ,.!]{{0,3}}\n[ >]{{0,4}}|, ?| )"
    rf"({_LOWER_WORDS})[ .]{{0,2}}(?m:$)"
)
CLOSING = re.compile(rf"(?:{_CLOSING})\b", re.I)
# "hola estela barbero,"
LOWER_GREETING = re.compile(rf"(?m:^)[ >]{{0,4}}(?i:{_GREETING}|hoi),? ({_LOWER_WORDS})(?=[ ]?(?:[,!.:]|\n|$))")
# "ask peter lind in accounting", "for maria souza": what people are asked, told and given, and then the clause goes on.
_TO_SOMEBODY = (
    r"ask|asked|contact|call|told|tell|inform|spoke (?:to|with)|(?:speak|talk) (?:to|with)|for|from|by|cc"
    r"|fragt?|frage|fragen sie|für|von|an|vraag|vragen aan|voor|van|pregunt[ae]n? a|preguntar a|habl(?:e|en|ar|é) con"
    r"|para|chiedete a|chiedi a|chiedere a|parl(?:a|ate|are) con|per|voyez avec|voir avec|demandez à|parl(?:er|ez) à"
    r"|pour|fal(?:em|ar|e|ei) com|pergunt(?:em|ar|e|ei) a|pe(?:çam|ça|di) a|por|de|zapytać|zapytajcie|spytać|dla|od"
    r"|assina é"
)
LOWER_ASKED = re.compile(rf"(?i:\b(?:{_TO_SOMEBODY})) ({_LOWER_PAIR}(?: {_LOWER_WORD})?)(?![\w@.]\w|\w)")
