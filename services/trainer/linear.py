"""Fits the TF-IDF + linear member with scikit-learn and hands it over as plain arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.models.linear import CHAR_NGRAMS, MAX_CHARS, LinearModel

WORD_TERMS_MAX = 30_000
CHAR_TERMS_MAX = 60_000  # with words: 90,000 rows x Q groups x 2 bytes is 14 MiB at 77 groups
SVM_C = 0.5  # between the best of three held-out parts: 0.3 on long e-mails, 1.0 on short questions
SVM_ITERATIONS_MAX = 2_000


def fit_linear(texts: Sequence[str], labels: NDArray[np.int32], *, groups: int, seed: int) -> LinearModel:
    """A linear support-vector machine over both TF-IDF views; every one of `groups` occurs in `labels`."""
    from scipy.sparse import hstack
    from sklearn.svm import LinearSVC

    words, chars = build_vectorizers(len(texts))
    cut = [text[:MAX_CHARS] for text in texts]
    features = hstack([words.fit_transform(cut), chars.fit_transform(cut)]).tocsr()
    machine = LinearSVC(C=SVM_C, random_state=seed, max_iter=SVM_ITERATIONS_MAX).fit(features, labels)
    weights, bias = machine.coef_, machine.intercept_
    if groups == 2:  # scikit-learn keeps one row for two classes
        weights, bias = np.vstack([-weights, weights]), np.concatenate([-bias, bias])
    return LinearModel(
        words={str(term): row for row, term in enumerate(words.get_feature_names_out())},
        chars={str(term): row for row, term in enumerate(chars.get_feature_names_out(), start=len(words.idf_))},
        idf=np.concatenate([words.idf_, chars.idf_]).astype(np.float32),
        weights=np.ascontiguousarray(weights.T).astype(np.float16),
        bias=np.asarray(bias, np.float32),
        known={},
    )


def build_vectorizers(rows: int):  # scikit-learn's class, imported lazily
    """The two scikit-learn views that `services.core.models.linear` repeats at serving time."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rare = 2 if rows >= 500 else 1  # a term seen once in a small history may be all there is
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=rare, max_features=WORD_TERMS_MAX)
    chars = TfidfVectorizer(
        analyzer="char_wb", ngram_range=CHAR_NGRAMS, sublinear_tf=True, min_df=rare, max_features=CHAR_TERMS_MAX
    )
    return words, chars
