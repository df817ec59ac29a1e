"""The exam is only worth something while its two parts stay apart and its labels are right."""

from services.core.text.exam.generate import LANGUAGES, exam, lower_cased, templates
from services.core.text.exam.values import LABELS


def test_a_quarter_of_the_templates_at_least_is_unseen_in_every_language() -> None:
    """By name, and no name is in both parts."""
    visible, unseen = ({template.name for template in templates(part)} for part in ("visible", "unseen"))
    assert not visible & unseen
    assert 0.28 <= len(unseen) / len(visible | unseen) <= 0.4
    for language in LANGUAGES:
        assert sum(name.startswith(language) for name in unseen) >= 4


def test_every_label_points_at_its_value() -> None:
    """No slot is left, every value is where its span says, and lower case moves nothing."""
    for text in exam("visible", fillings=1):
        assert "{" not in text.text
        assert all(text.text[span.start : span.end].strip() for span in text.spans)
        lower = lower_cased(text)
        assert len(lower.text) == len(text.text)
    assert set(filter(None, LABELS.values())) >= {"PERSON", "SECRET", "NATIONAL_ID", "USERNAME"}


def test_the_same_seed_makes_the_same_tickets() -> None:
    """Else two scorecards could not be compared."""
    assert list(exam("visible", fillings=1)) == list(exam("visible", fillings=1))
