"""Text vectors and clusters on two made-up topics."""

from __future__ import annotations

import numpy as np
import pytest

from training.text_clusters import DIMENSIONS, cluster, clusters_of, text_vectors

SITES = ("arm", "leg", "back", "face", "hand", "chest")
ITCHY = [f"An itchy red rash on my {site} for days" for site in SITES]
GROWTHS = [f"Dark growth, bleeding; located at the {site}" for site in SITES]


def test_vectors_have_unit_length_and_repeat_by_seed() -> None:
    numbered = [f"{text} number{i} other{i % 7}" for i, text in enumerate(ITCHY * 20)]
    for texts in (ITCHY, numbered):
        vectors = text_vectors(texts, seed=3)
        assert vectors.dtype == np.float32 and vectors.shape[0] == len(texts)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
        assert np.array_equal(vectors, text_vectors(texts, seed=3))
    assert text_vectors(numbered).shape[1] == DIMENSIONS


def test_topics_become_clusters() -> None:
    labels, centres = cluster(text_vectors([*ITCHY, *GROWTHS]), 2, seed=0)
    assert len(centres) == 2
    assert len(set(labels[:6])) == len(set(labels[6:])) == 1
    assert labels[0] != labels[6]


def test_there_are_no_more_clusters_than_different_texts() -> None:
    labels, centres = cluster(text_vectors(["a b", "a b", "c d"]), 8, seed=0)
    assert len(centres) == 2
    assert labels[0] == labels[1] != labels[2]


def test_nearest_texts_stand_for_their_cluster_without_repeats() -> None:
    found = clusters_of([*ITCHY, *ITCHY, *GROWTHS], clusters=2, seed=0, nearest=3)
    assert sorted(one.size for one in found) == [6, 12]
    for one in found:
        assert len(set(one.nearest)) == 3
        assert set(one.nearest) <= set(ITCHY) or set(one.nearest) <= set(GROWTHS)


def test_the_nearest_text_comes_first() -> None:
    near = "red rash on the arm"
    found = clusters_of([near, near, near, "red rash on the left arm, weeping"], 1, seed=0)
    assert found[0].nearest == (near, "red rash on the left arm, weeping")


def test_texts_without_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="without a word"):
        text_vectors(["?", "!"])
