"""Secrets, numbers of people, companies, accounts and devices in eight languages; and what looks like them."""

import pytest

from services.core.text.redact import RedactionConfig, Redactor, build_redactor


@pytest.fixture(scope="module")
def rules() -> Redactor:
    return build_redactor(RedactionConfig(models={}))


@pytest.mark.parametrize(
    ("language", "text", "hidden"),
    [
        ("en", "the password for the wiki is Tulip-Canal-88", "Tulip-Canal-88"),
        ("de", "Das WLAN-Passwort lautet Kaffee2019!", "Kaffee2019"),
        ("it", "La password del Wi-Fi è Gondola7731", "Gondola7731"),
        ("pl", "Hasło do Wi-Fi to Zubr-2231-Las", "Zubr-2231-Las"),
        ("pt", "A senha do portal é Azulejo9912", "Azulejo9912"),
        ("nl", "Het wachtwoord is Molen!4432", "Molen!4432"),
        ("en", "login is svc_mail / Harbour#2291", "Harbour#2291"),
        ("en", "Authorization: Basic c3ZjOkhhcmJvdXIjMjI5MQ==", "c3ZjOkhhcmJvdXIjMjI5MQ"),
        ("en", "postgres://erp:Harbour2291@db01:5432/erp", "erp:Harbour2291"),
        ("en", "my PIN is 4471 and CVV 913", "4471"),
        ("en", "NI number QQ 12 34 56 C", "12 34 56"),
        ("fr", "Mon numéro de sécurité sociale est le 1 84 12 76 451 089 46", "451 089"),
        ("es", "Mi DNI es 12345678Z", "12345678Z"),
        ("it", "codice fiscale RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("nl", "Mijn BSN is 111222333", "111222333"),
        ("pl", "PESEL: 44051401359", "44051401359"),
        ("pt", "O CPF 390.533.447-05 não existe", "390.533.447-05"),
        ("de", "Steuer-ID 36 574 261 809", "574 261"),
        ("en", "VAT number GB 980 7806 84", "980 7806"),
        ("en", "Staff IDs are P-11223 and P-44556", "P-44556"),
        ("en", "sort code 20-00-00, account number 55779911", "55779911"),
        ("en", "MAC 00-1B-44-11-3A-B7", "00-1B-44-11-3A-B7"),
        ("en", "MAC 001b.4411.3ab7", "001b.4411.3ab7"),
        ("en", "IMEI 490154203237518", "490154203237518"),
        ("en", "EMEA\\kzielinski cannot log in", "kzielinski"),
        ("en", "saved in C:\\Users\\kzielinski\\Desktop", "kzielinski"),
        ("en", "write to jane dot roe at example dot org", "jane dot roe at example dot org"),
        ("de", "Das Kennzeichen M-XY 4711 fehlt", "M-XY 4711"),
        ("en", "card expires 09/29", "09/29"),
        ("en", "I am signed in as rmeenag and nothing loads", "rmeenag"),
        ("en", "ssh deploy7@build-host hangs", "deploy7"),
        ("en", "the code I got by SMS is 771204", "771204"),
        ("en", "从早上8:10开始无法登录,VPN 报错,张伟 手机 13812345670", "13812345670"),
        ("en", "我的身份证是 11010519491231002X,请重置密码", "11010519491231002X"),
        ("en", "Паспорт 4510 123456, не могу войти в систему", "4510 123456"),
    ],
)
def test_it_is_hidden_whatever_the_language(rules: Redactor, language: str, text: str, hidden: str) -> None:
    """The word before it or its check digits tell it."""
    assert hidden not in rules.redact(text, language).fields["text"]


@pytest.mark.parametrize(
    "text",
    [
        "the password is wrong and the account is locked",
        "Das Passwort ist abgelaufen",
        "le mot de passe est incorrect",
        "my user name is not accepted",
        "the user clicks on save and the login page opens",
        "the token has expired, please renew the API key",
        "HKLM\\Software and C:\\Windows\\System32 are fine",
        "error 0x80070005 in module 4711, build 10.0.19041",
        "commit 5f1e9b2c41aa fails since 3.12.4",
        "the account manager called about order 77812",
        "12345678 rows were read",
        "无法打印,版本 10.19041.3 的错误 500,共 12345 行",
        "Αρ. 12345 δεν εκτυπώνει",
    ],
)
def test_what_only_looks_like_it_stays(rules: Redactor, text: str) -> None:
    """Routing needs these words, and they name nobody."""
    assert rules.redact(text).fields["text"] == text
