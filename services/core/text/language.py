"""Which of our languages a text is in, by its stop words; enough to choose recognisers, and nothing to install."""

import re

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pl", "pt")
_SAMPLE_CHARS = 4_000  # a language shows in the first lines; keeps a 1 MB body cheap
_WORD = re.compile(r"(?<![\w.:/@-])[^\W\d_]+(?![\w:/@-])")  # of prose: "de" of a MAC or a link is no word
_STOP_WORDS = {
    "en": "the and is are was were to of in on for with my your you we it this that have has not can please"
    " from at be i me our an will would could hi hello dear regards thanks am",
    "de": "der die das und ist sind war nicht ich wir sie ihr mein meine mit für auf von zu im in den dem"
    " ein eine bitte es kann nach bei seit hallo guten tag grüßen gruß wurde hat als auch am",
    "fr": "le la les et est sont était ne pas je nous vous mon ma mes avec pour sur de du des un une en"
    " dans merci bonjour à au aux que qui ce cette cordialement plus été ai a mot",
    "es": "el la los las y es son era no yo nosotros mi mis con para por de del un una en que se gracias"
    " hola al su lo ha buenos días saludo saludos puedo está tiene más favor",
    "it": "il lo la gli le un una di del della dei che è sono non mi io per con da nel alla ho abbiamo mio mia si"
    " grazie buongiorno ciao saluti posso dalla anche questo quando vorrei riesco",
    "nl": "de het een en is zijn niet ik wij mijn voor met van op aan naar dat bij kan graag bedankt hallo groet sinds"
    " goedemorgen ook meer wordt werd heeft hebben deze maar",
    "pl": "nie się jest są i w na do z że to od po dla przez mój moja mam proszę dziękuję dzień dobry cześć pozdrawiam"
    " mogę jak ale już jego przy oraz tu",
    "pt": "o os as um uma de do da dos das que é são não eu meu minha para por com no na em obrigado obrigada olá bom"
    " dia desde mais está ao à foi consigo",
}
_VOTES: dict[str, tuple[str, ...]] = {}
for _language, _words in _STOP_WORDS.items():
    for _word in _words.split():
        _VOTES[_word] = (*_VOTES.get(_word, ()), _language)


def detect_language(text: str, default: str = "en") -> str:
    """The language of most stop words; a word two languages share counts half for each. `default` when none occurs."""
    score = dict.fromkeys(LANGUAGES, 0.0)
    for word in _WORD.findall(text[:_SAMPLE_CHARS].lower()):
        voted = _VOTES.get(word, ())
        for language in voted:
            score[language] += 1 / len(voted)
    best = max(LANGUAGES, key=lambda language: (score[language], language == default))
    return best if score[best] else default
