"""Made-up metrics in the shape of a checkpoint's metrics.json. The numbers mean nothing.

The last six conditions have too few photos to be measured, only the first ten have texts, and
only the first eight have pairs.
"""

from __future__ import annotations

from typing import Any

from dermmm.conditions import NAMES

MEASURED_FROM = 10
PHOTOS = {name: 40 - place if place < 20 else 4 for place, name in enumerate(NAMES)}
TEXTS = {name: 30 - 2 * place for place, name in enumerate(NAMES[:10])}
PAIRS = {name: 20 - place for place, name in enumerate(NAMES[:8])}
SHARES = [share / 20 for share in range(1, 21)]


def interval(value: float, half: float = 0.08) -> dict[str, float]:
    """A score with an interval around it, within 0..1."""
    low, high = max(0.0, value - half), min(1.0, value + half)
    return {"value": round(value, 5), "low": round(low, 5), "high": round(high, 5)}


def row(cases: dict[str, int], recall: float, ece: float = 0.04) -> dict[str, Any]:
    """What `training.scoring.score` gives of so many cases of each condition."""
    return {
        "n": sum(cases.values()),
        "groups": sum(cases.values()) // 2,
        "conditions": len(cases),
        "chance": round(1 / len(cases), 5),
        "balanced_accuracy": interval(recall),
        "macro_f1": interval(recall - 0.05),
        "top1": interval(recall + 0.05),
        "top3": interval(min(1.0, recall + 0.3)),
        "macro_auc": interval(0.85),
        "nll": {"value": 1.5, "low": 1.4, "high": 1.6},
        "brier": {"value": 0.6, "low": 0.55, "high": 0.65},
        "ece": ece,
        "ece_interval": interval(ece, 0.02),
    }


def by_condition(cases: dict[str, int], recall: float) -> dict[str, Any]:
    """What `training.scoring.by_condition` gives: recall falls from condition to condition.

    A condition's wrong answers go to the two after it.
    """
    names, found = list(cases), {}
    for place, (name, n) in enumerate(cases.items()):
        right = round(n * max(0.0, recall + 0.3 - 0.6 * place / len(names)))
        wrong = n - right
        others = [names[(place + step) % len(names)] for step in (1, 2)]
        counts = dict(zip(others, (wrong - wrong // 3, wrong // 3), strict=True))
        found[name] = {
            "n": n,
            "recall": round(right / n, 5),
            "recall_interval": interval(right / n, 0.3 / n**0.5),
            "top3": round((right + wrong // 2) / n, 5),
            "answered": right + 5,
            "precision": round(right / (right + 5), 5),
            "confusions": {other: count for other, count in counts.items() if count},
        }
    return found


def few(cases: dict[str, int], share: float) -> dict[str, int]:
    """A share of the cases of each condition; none of those that would have no case."""
    return {name: round(n * share) for name, n in cases.items() if round(n * share)}


# The rows that are also told condition by condition: their cases and about their recall.
ROWS = {
    "image only": (PHOTOS, 0.45),
    "image only, clinical photos": (few(PHOTOS, 0.7), 0.42),
    "image only, dermoscopic photos": (few(PAIRS, 0.6), 0.5),
    "image only, skin type I–II": (few(PHOTOS, 0.4), 0.5),
    "image only, skin type III–IV": (few(PHOTOS, 0.3), 0.4),
    "image only, skin type V–VI": (few(PHOTOS, 0.1), 0.3),
    "image only, fitzpatrick17k": (few(PHOTOS, 0.5), 0.4),
    "image only, pad_ufes_20": (few(PAIRS, 0.5), 0.5),
    "image only, scin": ({"eczema": 6, "psoriasis": 2}, 0.4),  # too few to be measured
    "text only": ({name: n for name, n in TEXTS.items() if n >= MEASURED_FROM}, 0.4),
    "text only, every condition": (TEXTS, 0.35),
    "text only, pad_ufes_20": (few(TEXTS, 0.5), 0.35),
    "both, true pairs": (PAIRS, 0.6),
    "both, true pairs, pad_ufes_20": (few(PAIRS, 0.5), 0.55),
    "image only, on the true pairs": (PAIRS, 0.5),
    "text only, on the true pairs": (PAIRS, 0.3),
}


def reliability(n: int) -> list[dict[str, Any]]:
    """Bands of the first choice's probability; the first one holds too few cases."""
    return [
        {
            "low": tenth / 10,
            "high": (tenth + 1) / 10,
            "n": n if tenth > 1 else 3,
            "right": round(n * (tenth + 0.3) / 10) if tenth > 1 else 1,
            "confidence": (tenth + 0.5) / 10,
        }
        for tenth in range(1, 10)
    ]


def errors(source: str) -> list[dict[str, Any]]:
    """The surest wrong answers."""
    return [
        {
            "id": f"{source}:case{place}",
            "source": source,
            "truth": NAMES[place],
            "answer": NAMES[place + 1],
            "probability": round(0.97 - 0.03 * place, 5),
        }
        for place in range(7)
    ]


def risk(n: int, start: float, end: float) -> dict[str, Any]:
    """Accuracy among the surest share of the cases, from ``start`` down to ``end``."""
    values = [start + (end - start) * share for share in SHARES]
    return {
        "n": n,
        "accuracy": [interval(value) for value in values],
        "aurc": interval(1 - (start + end) / 2),
        "gain": {"value": 0.05, "low": 0.02, "high": 0.08},
    }


def falling(start: float, end: float, steps: int = 6) -> list[dict[str, float]]:
    """A curve of intervals from ``start`` to ``end``."""
    return [interval(start + (end - start) * step / (steps - 1), 0.03) for step in range(steps)]


def worsened(start: float, end: float) -> dict[str, Any]:
    """One kind of `training.gate_faithfulness`: the image gate from ``start`` to ``end``."""
    return {
        "gate": falling(start, end),
        "changed": falling(0.0, 0.4),
        "right": falling(0.5, 0.2),
        "rank": 1.0 if end > start else -1.0,
        "rank_of_a_case": 0.9 if end > start else -0.9,
        "moved": {"value": end - start, "low": end - start - 0.05, "high": end - start + 0.05},
    }


def removed(map_name: str, end: float) -> dict[str, Any]:
    """One question of `training.attention_faithfulness`; small ``end``: the map beats random."""
    beats = end < 0.2
    less = {"value": end - 0.2, "low": end - 0.25, "high": end - 0.15}
    return {
        "cases": 30,
        "groups": 28,
        "shares": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        "maps": {
            map_name: {
                "deletion": {
                    "curve": falling(0.6, end),
                    "area": interval(0.3 + end / 2),
                    "less random": less,
                    "beats random": beats,
                },
                "insertion": {
                    "curve": falling(end, 0.6),
                    "area": interval(0.4),
                    "less random": {"value": 0.02, "low": -0.01, "high": 0.05},
                    "beats random": False,
                },
            }
        },
        "random order": {"curve": falling(0.6, 0.2), "area": interval(0.4)},
        "random weights": {map_name: {"value": 0.02, "low": -0.1, "high": 0.14}},
    }


METRICS: dict[str, Any] = {
    "split": "test",
    "measured_from": MEASURED_FROM,
    "rows": {name: row(cases, recall) for name, (cases, recall) in ROWS.items()},
    "by_condition": {name: by_condition(cases, recall) for name, (cases, recall) in ROWS.items()},
    "differences": {
        "both less the better single modality, true pairs": {
            key: {"value": 0.1, "low": 0.04, "high": 0.16}
            for key in ("balanced_accuracy", "top1", "top3")
        }
        | {"better": "image"},
    },
    "texts_by_condition": TEXTS,
    "training": {"pad_ufes_20": {"photos": 1200, "texts": 900}, "scin": {"photos": 0, "texts": 50}},
    "measured": {
        name: {"image": PHOTOS[name], "text": TEXTS.get(name, 0), "fused": PAIRS.get(name, 0)}
        for name in NAMES
    },
    "reliability": {"image": reliability(60), "text": reliability(20), "fused": reliability(15)},
    "validation_ece": {"image": 0.03, "text": 0.06, "fused": 0.03},
    "skin_type_gap": {
        "test": {"conditions": [], "n": [200, 30], "gap": None},
        "val and test": {
            "conditions": ["acne", "eczema"],
            "n": [400, 60],
            "gap": {"value": 0.2, "low": 0.1, "high": 0.3},
        },
    },
    "errors": {"image": errors("fitzpatrick17k"), "text": errors("scin"), "fused": errors("pad")},
    "image_gate_on_true_pairs": {"p05": 0.3, "median": 0.6, "p95": 0.8},
    # What `training.results` puts there for the page; absent where a study was not run.
    "studies": {
        "abstention": {
            "coverage": 0.9,
            "surest": 0.8,
            "shares": SHARES,
            "risk": {
                "image": risk(564, 0.9, 0.5),
                "text": risk(210, 0.6, 0.4),
                "fused": risk(132, 0.95, 0.6),
            },
            "sets": {
                answer: {"n": n, "coverage": interval(0.89, 0.02), "size": interval(0.9)}
                for answer, n in (("image", 564), ("text", 210), ("fused", 132))
            },
        },
        "gate_faithfulness": {
            "cases": 60,
            "strengths": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            "kinds": {
                "blur": worsened(0.6, 0.3),
                "dark": worsened(0.6, 0.4),
                "text cut": worsened(0.6, 0.8),
            },
            "range": {"cases": 132, "p05": 0.3, "median": 0.6, "p95": 0.8, "width": 0.5},
            "tells_who_is_right": {
                "photo alone is right": 40,
                "text alone is right": 20,
                "auroc": {"value": 0.65, "low": 0.55, "high": 0.75},
            },
            "page": {
                "gate falls with blur": True,
                "gate rises as text is cut": True,
                "gate varies over cases": True,
            },
        },
        "attention_faithfulness": {
            "removed": "blur",
            "page": {
                "photo map beats random": True,
                "photo map with words beats random": False,
                "word weights beat random": True,
                "word weights with a photo beat random": True,
            },
            "questions": {
                "photo alone": removed("class evidence", 0.1),
                "photo of a pair": removed("attention", 0.3),
                "words alone": removed("class evidence", 0.1),
                "words of a pair": removed("attention", 0.1),
            },
        },
        "pad_folds": {
            "patients": 90,
            "rows": {
                "photo, fine-tuned encoder": row(few(PAIRS, 0.9), 0.5),
                "photo and description, stacking": row(few(PAIRS, 0.9), 0.6),
                "always the commonest class": row(few(PAIRS, 0.9), 0.1),
            },
        },
    },
}
