"""The numpy scorer against scikit-learn, which fits it."""

from pathlib import Path

import numpy as np
import pytest

from services.core.models.linear import MAX_CHARS, load_linear, save_linear
from services.trainer.linear import SVM_C, SVM_ITERATIONS_MAX, build_vectorizers, fit_linear
from tests.services.trainer.bundles import made_up_tickets

ODD_TEXTS = [
    "a",
    "",
    "   \n\t ",
    "I I I vpn VPN Vpn",
    "Straße Gehalt ÄÖÜ é",
    "пароль не работает login",
    "密码 reset ログイン",
    "no-break\u00a0space\u2003and\u200btabs\tvpn",
    "0x80070005 e-mail@x.org __init__ don't",
    "vpn " * 3_000,
]


@pytest.fixture(scope="module")
def rows():
    return made_up_tickets(600)


@pytest.mark.parametrize("groups", [2, 5])
def test_scores_as_scikit_learn_does(rows, groups):
    """Same decision values to float16 rounding of the weights, on every script and on degenerate text."""
    from scipy.sparse import hstack
    from sklearn.svm import LinearSVC

    names = sorted({row.group for row in rows})[:groups]
    texts = [row.text for row in rows if row.group in names]
    labels = np.array([names.index(row.group) for row in rows if row.group in names], np.int32)
    words, chars = build_vectorizers(len(texts))
    features = hstack([words.fit_transform(texts), chars.fit_transform(texts)]).tocsr()
    machine = LinearSVC(C=SVM_C, random_state=3, max_iter=SVM_ITERATIONS_MAX).fit(features, labels)

    probe = [text[:MAX_CHARS] for text in [*texts[:100], *ODD_TEXTS]]
    expected = machine.decision_function(hstack([words.transform(probe), chars.transform(probe)]).tocsr())
    if groups == 2:
        expected = np.stack([-expected, expected], axis=1)

    scores = fit_linear(texts, labels, groups=groups, seed=3).score(probe)
    np.testing.assert_allclose(scores, expected, atol=2e-3)
    assert (scores.argmax(axis=1) == expected.argmax(axis=1))[:100].all()


def test_survives_its_files(rows, tmp_path: Path):
    """Written and read back, the scores are the same to the bit; and a second call (remembered words) too."""
    names = sorted({row.group for row in rows})
    labels = np.array([names.index(row.group) for row in rows], np.int32)
    model = fit_linear([row.text for row in rows], labels, groups=len(names), seed=3)
    save_linear(tmp_path, model)
    loaded = load_linear(tmp_path)
    np.testing.assert_array_equal(loaded.score(ODD_TEXTS), model.score(ODD_TEXTS))
    np.testing.assert_array_equal(loaded.score(ODD_TEXTS), loaded.score(ODD_TEXTS))


def test_long_text_is_cut(rows):
    """What follows MAX_CHARS changes nothing, so a megabyte costs what four kilobytes do."""
    names = sorted({row.group for row in rows})
    labels = np.array([names.index(row.group) for row in rows], np.int32)
    model = fit_linear([row.text for row in rows], labels, groups=len(names), seed=3)
    head = ("vpn cable " * MAX_CHARS)[:MAX_CHARS]
    np.testing.assert_array_equal(model.score([head]), model.score([head + "payslip " * 100_000]))
