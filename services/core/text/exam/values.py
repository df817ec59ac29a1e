"""Made-up values for the slots of a template, valid by their check digits where such a number has any."""

import base64
import random
import re
import string
from collections.abc import Callable
from typing import Any

from stdnum import get_cc_module, imei, luhn

from services.core.text.exam import spellings

LOCALES = {
    "en": ("en_GB", "en_US", "en_IE"),
    "de": ("de_DE", "de_AT", "de_CH"),
    "fr": ("fr_FR", "fr_CH"),
    "es": ("es_ES", "es_MX"),
    "it": ("it_IT",),
    "nl": ("nl_NL", "nl_BE"),
    "pl": ("pl_PL",),
    "pt": ("pt_PT", "pt_BR"),
}
# People of every origin write tickets in every language.
ORIGINS = ("tr_TR", "en_IN", "cs_CZ", "sv_SE", "ro_RO", "hr_HR", "id_ID", "fi_FI", "es_CO", "pl_PL", "it_IT", "nl_NL")
_FROM_ABROAD = 0.3
_DIGITS, _UPPER, _ALNUM = string.digits, string.ascii_uppercase, string.ascii_letters + string.digits

# Which kind each slot is; None: a value that must stay.
LABELS: dict[str, str | None] = {
    **dict.fromkeys(("person", "person_lower", "person_reversed", "surname"), "PERSON"),
    **dict.fromkeys(("email", "spelled_email"), "EMAIL_ADDRESS"),
    **dict.fromkeys(("phone", "phone_ext"), "PHONE_NUMBER"),
    **dict.fromkeys(("password", "token", "basic", "connection", "cvv", "pin"), "SECRET"),
    **dict.fromkeys(("national", "nie", "health", "mrn", "idcard", "passport", "licence"), "NATIONAL_ID"),
    **dict.fromkeys(("tax", "steuernummer", "vat", "company"), "TAX_ID"),
    **dict.fromkeys(("account", "sortcode", "routing"), "BANK_ACCOUNT"),
    **dict.fromkeys(("username", "domain_user", "home_path"), "USERNAME"),
    **dict.fromkeys(("imei", "serial"), "DEVICE_ID"),
    "iban": "IBAN_CODE",
    "card": "CREDIT_CARD",
    "expiry": "DATE_TIME",
    "employee": "EMPLOYEE_ID",
    "mac": "MAC_ADDRESS",
    "plate": "LICENSE_PLATE",
    "address": "STREET_ADDRESS",
    **dict.fromkeys(("mail_at", "mail_spaced"), "EMAIL_ADDRESS"),
    **dict.fromkeys(("card_dotted", "card_broken"), "CREDIT_CARD"),
    **dict.fromkeys(("dob", "file_date"), "DATE_TIME"),
    **dict.fromkeys(("phone_bare", "phone_words", "extension"), "PHONE_NUMBER"),
    "handle": "USERNAME",
    "postcode": "ZIP_CODE",
    "ticket": None,
}
# By language: the module of python-stdnum that judges the number and how people write it (9 digit, A letter, X either).
_CHECKED = {
    ("national", "de"): ((None, "99 999999 A 999"),),
    ("national", "fr"): (("fr.nir", "1 99 05 75 999 999 99"), ("fr.nir", "299117599999999")),
    ("national", "es"): (("es.dni", "99999999A"), ("es.dni", "99999999-A")),
    ("national", "it"): (("it.codicefiscale", "AAAAAA99A99A999A"),),
    ("national", "nl"): (("nl.bsn", "999999999"), ("nl.bsn", "9999.99.999")),
    ("national", "pl"): (("pl.pesel", "99999999999"),),
    ("national", "pt"): (("br.cpf", "999.999.999-99"), ("br.cpf", "99999999999")),
    ("nie", "es"): (("es.nie", "X9999999A"),),
    ("health", "en"): (("gb.nhs", "999 999 9999"),),
    ("health", "es"): ((None, "99/9999999999"),),
    ("tax", "en"): (("us.ein", "99-9999999"),),
    ("tax", "de"): (("de.idnr", "99 999 999 999"), ("de.idnr", "99999999999")),
    ("tax", "fr"): (("fr.nif", "99 99 999 999 999"),),
    ("tax", "pl"): (("pl.nip", "999-999-99-99"), ("pl.nip", "9999999999")),
    ("tax", "pt"): (("pt.nif", "999999999"), ("pt.nif", "999 999 999")),
    ("company", "fr"): (("fr.siret", "999 999 999 99999"),),
    ("company", "es"): (("es.cif", "B99999999"),),
    ("company", "it"): (("it.iva", "99999999999"),),
    ("company", "nl"): ((None, "99999999"),),
    ("company", "pl"): (("pl.regon", "999999999"),),
    ("company", "pt"): (("br.cnpj", "99.999.999/9999-99"),),
    ("vat", "en"): (("gb.vat", "GB999999999"), ("gb.vat", "GB 999 9999 99")),
    ("vat", "de"): (("de.vat", "DE999999999"),),
    ("vat", "it"): (("it.iva", "IT99999999999"),),
    ("vat", "es"): (("es.nif", "ESB99999999"),),
    ("vat", "nl"): (("nl.btw", "NL999999999B99"),),
    ("routing", "en"): (("us.rtn", "999999999"),),
    ("routing", "de"): ((None, "999 999 99"),),
    ("idcard", "nl"): (("nl.identiteitskaartnummer", "AAAA99999"),),
}
_SHAPED = {
    "passport": ("A99999999", "999999999", "A9999999"),
    "licence": ("AAAAA999999AA9AA", "A9999999999", "99AA99999"),
    "idcard": ("A99A99A99", "AA99999AA", "999999999 AA9", "AAA999999"),
    "mrn": ("99999999", "9999999"),
    "account": ("99999999", "9999999999"),
    "sortcode": ("99-99-99",),
    "steuernummer": ("99/999/99999",),
    "employee": ("E99999", "9999999", "P-99999"),
    "serial": ("AAA99A9AAA", "9AAAA99A99", "AA-9999-A99"),
    "cvv": ("999",),
    "pin": ("9999", "999999"),
    "extension": ("999", "9999", "99999"),
    "expiry": ("99/99",),
    "ticket": ("INC9999999", "SR-2026-99999", "99999"),
}
_PLATES = {
    "en": ("AA99 AAA",),
    "de": ("A-AA 9999", "AAA-A 999"),
    "fr": ("AA-999-AA",),
    "es": ("9999 AAA", "9999AAA"),
    "it": ("AA 999 AA", "AA999AA"),
    "nl": ("AA-999-A", "99-AAA-9"),
    "pl": ("AA 99999", "AAA 9A99"),
    "pt": ("AA-99-AA", "AAA9A99"),
}
_TOKENS: tuple[tuple[str, int], ...] = (
    ("ghp_", 36),
    ("glpat-", 20),
    ("xoxb-", 40),
    ("sk-", 40),
    ("npm_", 36),
    ("hvs.", 40),
    ("SG.", 60),
    ("dop_v1_", 60),
)
_WORDS = ("Sommer", "Tiger", "Coffee", "Panda", "Rocket", "Lisboa", "Praga", "Orange", "Dragon", "Mosaik")


class Values:
    """One ticket's made-up data; the same seed makes the same values."""

    def __init__(self, language: str, seed: str) -> None:
        from faker import Faker

        self.language = language
        self._random = random.Random(seed)  # noqa: S311  # a repeatable exam, not a secret
        self._home = Faker(list(LOCALES[language]))
        self._abroad = Faker(list(ORIGINS))
        for source in (self._home, self._abroad):
            source.seed_instance(self._random.random())

    def start(self) -> None:
        """A new ticket: all later values are of one person's country."""
        self._people = self._abroad if self._random.random() < _FROM_ABROAD else self._home

    def make(self, slot: str) -> str:
        maker = _MAKERS.get((slot, self.language)) or _MAKERS.get((slot, ""))
        if maker:
            return maker(self)
        return self.checked(slot)

    def name(self) -> tuple[str, str]:
        return self._people.first_name(), self._people.last_name()

    def person(self) -> str:
        return " ".join(self.name())

    def reversed(self) -> str:
        first, last = self.name()
        return f"{last}, {first}"

    def email(self) -> str:
        return self._home.email()

    def spelled_email(self) -> str:
        dot, at = {"de": ("punkt", "at"), "fr": ("point", "arobase"), "es": ("punto", "arroba")}.get(
            self.language, ("dot", "at")
        )
        user, _, domain = self.email().partition("@")
        return f"{user} {at} {domain}".replace(".", f" {dot} ")

    def phone(self) -> str:
        return self._home.phone_number()

    def phone_ext(self) -> str:
        return self.phone().split("x")[0].strip() + self.pick((" x", " ext. ", "x")) + self.shape("9999")

    def address(self) -> str:
        return re.sub(r"\s*\n\s*", ", ", self._home.address())

    def password(self) -> str:
        word, digits = self.pick(_WORDS), self.shape("9999")
        return self.pick(
            (f"{word}{digits}!", f"{word}-{self.pick(_WORDS)}-{digits}", f"{word.lower()}{digits}", f"x{digits}!{word}")
        )

    def token(self) -> str:
        prefix, length = self.pick(_TOKENS)
        return prefix + self.letters(_ALNUM, length)

    def basic(self) -> str:
        return base64.b64encode(f"{self.username()}:{self.password()}".encode()).decode()

    def connection(self) -> str:
        return self.pick(
            (
                f"postgres://{self.username()}:{self.password()}@db01:5432/erp",
                f"Server=db01;User Id={self.username()};Password={self.password()};",
                f"AccountKey={self.letters(_ALNUM, 60)}==",
                f"aws_secret_access_key = {self.letters(_ALNUM, 40)}",
            )
        )

    def username(self) -> str:
        first, last = (re.sub(r"[^a-z]", "", name.lower()) or "kim" for name in self.name())
        return self.pick(
            (f"{first[0]}{last}", f"{first}.{last}", f"{last}{self.shape('99')}", f"u{self.shape('99999')}")
        )

    def domain_user(self) -> str:
        return self.pick(("CORP", "EMEA", "KONZERN", "AD01")) + "\\" + self.username()

    def home_path(self) -> str:
        user = self.username()
        return self.pick((f"C:\\Users\\{user}\\Documents", f"/home/{user}/work", f"/Users/{user}/Desktop"))

    def kvnr(self) -> str:
        """German health insurance: Luhn's sum over the letter's place and eight digits, itself the check digit."""
        letter, digits = self.letters(_UPPER, 1), self.shape("99999999")
        return f"{letter}{digits}{-int(luhn.calc_check_digit(f'{ord(letter) - 64:02d}{digits}')) % 10}"

    def mac(self) -> str:
        plain = self.letters("0123456789abcdef", 12)
        pairs = [plain[i : i + 2] for i in range(0, 12, 2)]
        dotted = ".".join(plain[i : i + 4] for i in range(0, 12, 4))
        return self.pick((":".join(pairs), "-".join(pairs).upper(), dotted))

    def imei(self) -> str:
        number = "35" + self.shape("999999999999")
        return self.pick((imei.format(number + luhn.calc_check_digit(number)), number + luhn.calc_check_digit(number)))

    def card_number(self) -> str:
        number = (self.pick(("4", "51", "52")) + self.shape("9" * 14))[:15]
        return number + luhn.calc_check_digit(number)

    def birthday(self) -> tuple[int, int, int]:
        """Year, month, day."""
        return self._random.randint(1945, 2004), self._random.randint(1, 12), self._random.randint(1, 28)

    def postcode(self) -> str:
        return self._home.postcode()

    def card(self) -> str:
        number = self.card_number()
        return self.pick((number, " ".join(number[i : i + 4] for i in range(0, 16, 4))))

    def nino(self) -> str:
        letters = self.letters("ABCEGHJKLMPRSTWXYZ", 2)
        return letters + self.shape(self.pick((" 99 99 99 ", "999999"))) + self.pick("ABCD")

    def tva(self) -> str:
        siren = self.shape("99999999")
        siren += luhn.calc_check_digit(siren)
        return f"FR{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"

    def plate(self) -> str:
        return self.shape(self.pick(_PLATES[self.language]))

    def expiry(self) -> str:
        return f"{self._random.randint(1, 12):02d}/{self._random.randint(27, 34)}"

    def checked(self, slot: str) -> str:
        module, pattern = self.pick(_CHECKED.get((slot, self.language)) or tuple((None, p) for p in _SHAPED[slot]))
        judge = get_cc_module(*module.split(".")) if module else None
        while True:
            number = self.shape(pattern)
            if judge is None or judge.is_valid(number):
                return number

    def shape(self, pattern: str) -> str:
        """`9` becomes a digit, `A` a letter, `X` one of X, Y, Z; the rest stays."""
        kinds = {"9": _DIGITS, "A": _UPPER, "X": "XYZ"}
        return "".join(self._random.choice(kinds.get(char, char)) for char in pattern)

    def letters(self, alphabet: str, length: int) -> str:
        return "".join(self._random.choices(alphabet, k=length))

    def pick(self, options: Any) -> Any:
        return self._random.choice(options)


# Slot and language; "": every language without an own one.
_MAKERS: dict[tuple[str, str], Callable[[Values], str]] = {
    ("national", "en"): Values.nino,
    ("vat", "fr"): Values.tva,
    ("health", "de"): Values.kvnr,
    ("person", ""): Values.person,
    ("person_lower", ""): lambda values: values.person().lower(),
    ("person_reversed", ""): Values.reversed,
    ("surname", ""): lambda values: values.name()[1],
    ("email", ""): Values.email,
    ("spelled_email", ""): Values.spelled_email,
    ("phone", ""): Values.phone,
    ("phone_ext", ""): Values.phone_ext,
    ("password", ""): Values.password,
    ("token", ""): Values.token,
    ("basic", ""): Values.basic,
    ("connection", ""): Values.connection,
    ("username", ""): Values.username,
    ("domain_user", ""): Values.domain_user,
    ("home_path", ""): Values.home_path,
    ("address", ""): Values.address,
    ("mac", ""): Values.mac,
    ("imei", ""): Values.imei,
    ("card", ""): Values.card,
    ("iban", ""): lambda values: values._home.iban(),
    ("plate", ""): Values.plate,
    ("expiry", ""): Values.expiry,
    ("postcode", ""): Values.postcode,
    ("mail_at", ""): spellings.mail_at,
    ("mail_spaced", ""): spellings.mail_spaced,
    ("card_dotted", ""): spellings.card_dotted,
    ("card_broken", ""): spellings.card_broken,
    ("dob", ""): spellings.dob,
    ("file_date", ""): spellings.file_date,
    ("phone_bare", ""): spellings.phone_bare,
    ("phone_words", ""): spellings.phone_words,
    ("handle", ""): spellings.handle,
}
