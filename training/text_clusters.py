"""Texts as vectors, and the clusters among them: what balancing and synthesis group texts by.

TF-IDF of words and word pairs, reduced by a truncated singular value decomposition (latent semantic
analysis), then K-means. Texts of some ten words share too few words for the bare counts to compare.

Shapes: n texts, D dimensions, k clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

DIMENSIONS = 64


@dataclass(frozen=True)
class TextCluster:
    """One cluster: how many texts it holds, and those nearest to its centre, the nearest first."""

    size: int
    nearest: tuple[str, ...]


def text_vectors(texts: Sequence[str], seed: int = 0) -> np.ndarray:
    """(n, D) float32 of unit length, zero for a text without a known word; D is at most 64.

    Raises:
        ValueError: no text holds a single word.
    """
    try:
        counts = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"
        ).fit_transform(texts)
    except ValueError as error:
        raise ValueError(f"got {len(texts)} texts without a word; leave them out") from error
    if min(counts.shape) > DIMENSIONS:
        reduced = TruncatedSVD(DIMENSIONS, random_state=seed).fit_transform(counts)
    else:
        reduced = counts.toarray()
    return normalize(reduced).astype(np.float32)


def cluster(vectors: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """K-means over vectors (n, D): the cluster of each (n,), and the centres (k, D).

    k is ``clusters``, or the number of different vectors where that is less.
    """
    different = len(np.unique(vectors.round(5), axis=0))
    found = KMeans(min(clusters, different), n_init=3, random_state=seed).fit(vectors)
    return found.labels_, found.cluster_centers_


def clusters_of(
    texts: Sequence[str], clusters: int, seed: int, nearest: int = 5
) -> list[TextCluster]:
    """Cluster ``texts`` and keep of each cluster up to ``nearest`` different texts.

    Raises:
        ValueError: no text holds a single word.
    """
    vectors = text_vectors(texts, seed)
    labels, centres = cluster(vectors, clusters, seed)
    found = []
    for label, centre in enumerate(centres):
        members = np.flatnonzero(labels == label)
        distance = np.linalg.norm(vectors[members] - centre, axis=1)
        ordered = dict.fromkeys(texts[i] for i in members[np.argsort(distance, kind="stable")])
        found.append(TextCluster(len(members), tuple(ordered)[:nearest]))
    return found
