"""Writes plugins/learn/tests/cleanlab.json: what cleanlab 2 makes of random labels and probabilities.

    pip install cleanlab==2.9.0 && python benches/cleanlab_fixture.py
"""

import json
from pathlib import Path

import numpy as np
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

FILTERS = ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"]
SCORES = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


def case(seed, rows, classes, sharpness, used):
    """Labels that follow the probabilities with some noise; only the first `used` classes occur as labels."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, used, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), truth] += sharpness
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    # Numbers that f32 holds exactly, so that both sides see the same.
    probabilities = probabilities.astype(np.float32).astype(np.float64)
    labels = np.where(random.random(rows) < 0.3, random.integers(0, used, rows), truth)
    labels[:used] = np.arange(used)
    return {
        "classes": classes,
        "labels": labels.tolist(),
        "probabilities": probabilities.ravel().tolist(),
        "confident_thresholds": np.asarray(get_confident_thresholds(labels, probabilities)).tolist(),
        "confident_joint": compute_confident_joint(labels, probabilities).ravel().tolist(),
        "confident_joint_uncalibrated": compute_confident_joint(labels, probabilities, calibrate=False).ravel().tolist(),
        "scores": {
            name: get_label_quality_scores(labels, probabilities, method=name, adjust_pred_probs=False).tolist()
            for name in SCORES
        },
        "issues": {
            name: np.flatnonzero(find_label_issues(labels, probabilities, filter_by=name, n_jobs=1)).tolist()
            for name in FILTERS
        },
    }


def main():
    cases = [
        case(1, 60, 2, 1.0, 2),
        case(2, 90, 3, 1.5, 3),
        case(3, 150, 7, 1.0, 7),
        case(4, 200, 7, 2.5, 7),
        case(5, 40, 5, 0.0, 5),
        case(6, 60, 4, 1.0, 3),
        case(7, 12, 6, 0.5, 6),
    ]
    path = Path(__file__).parent.parent / "plugins/learn/tests/cleanlab.json"
    path.write_text(json.dumps(cases))
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
