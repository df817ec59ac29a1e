"""The evaluation's own arithmetic, and the figures on public tickets when the data is there."""

from services.core.llm.evaluate import auroc, evaluate, rouge_l, score_priorities


def test_rouge_l_is_the_longest_common_subsequence():
    """The paper's own example: three of four words in order, against two of four."""
    assert rouge_l("police killed the gunman", "police kill the gunman") == 0.75
    assert rouge_l("police killed the gunman", "the gunman kill police") == 0.5
    assert rouge_l("a b", "") == 0.0


def test_auroc_counts_ordered_pairs_and_half_of_ties():
    assert auroc([True, True, False, False], [4, 3, 2, 1]) == 1.0
    assert auroc([True, True, False, False], [1, 2, 3, 4]) == 0.0
    assert auroc([True, False], [1, 1]) == 0.5
    assert auroc([True, False, True], [2, 2, 3]) == 0.75
    assert auroc([True], [1]) == 0.5


def test_errors_are_counted_by_direction():
    """Two pressing tickets, one found; two others, one false alarm."""
    scores = score_priorities(["urgent", "high", "low", "normal"], ["high", "low", "urgent", "normal"], [3, 0, 4, 2])
    assert (scores.pressing_recall, scores.pressing_false_alarms) == (0.5, 0.5)
    assert (scores.accuracy, scores.within_one, scores.auroc_pressing) == (0.25, 0.5, 0.25)


def test_the_extractive_default_holds_its_figures_on_public_tickets(data_dir):
    """Floors a little under what was measured: a lexicon change that loses ground must show."""
    figures = evaluate(data_dir, "test")
    assert figures["jira priority"]["accuracy"] >= 0.33
    assert figures["jira priority"]["auroc_pressing"] > 0.52
    assert figures["jira summary"]["rouge_l"] >= 0.22
    assert figures["jira summary"]["invented_words"] == 0
