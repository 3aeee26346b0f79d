"""Our relabelling and cleanlab's on the same out-of-fold probabilities, both judged with FER+.

    pip install cleanlab==2.9.0 pyarrow pandas
    python benches/cleanlab_compare.py relabelled.parquet fer2013new.csv

The Parquet file has a row for each face: `row` (its number in fer2013.csv), `original_label` (as given), `label` and
`label_quality` (ours), `probabilities` (list of float, out of fold). Without `original_label`, `label` is taken as given and
only cleanlab is judged. Judged are the Training rows where more than five of the ten taggers agree on one of the seven
classes. "kept" drops the judged rows of least quality.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

# FER2013's order of classes.
CLASSES = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
FILTERS = ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"]
SCORES = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


def judges(path):
    """The class that a strict majority of the taggers gave each Training row, by row number."""
    votes = pd.read_csv(path).set_index("Row")
    votes = votes[votes["Usage"] == "Training"][CLASSES]
    votes = votes[votes.max(axis=1) > 5]
    return dict(zip(votes.index, votes.to_numpy().argmax(axis=1)))


def agreement(name, labels, quality, truth):
    right = (labels == truth)[np.argsort(-quality, kind="stable")]
    kept = [right[: int(np.ceil(len(right) * part))].mean() * 100 for part in (1.0, 0.95, 0.75)]
    print(f"{name:62s} {kept[0]:7.2f} {kept[1]:9.2f} {kept[2]:9.2f}")


def main():
    table = pd.read_parquet(sys.argv[1])
    # Rows that were dropped before relabelling have none.
    table = table[table["probabilities"].notna()]
    truth = judges(sys.argv[2])
    given = table["original_label" if "original_label" in table else "label"].to_numpy().astype(int)
    probabilities = np.stack(table["probabilities"].to_numpy()).astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    judged = table["row"].isin(truth).to_numpy()
    expected = table["row"][judged].map(truth).to_numpy()
    print(f"{len(table)} rows, {judged.sum()} judged; agreement with the majority in %")
    print(f"{'':62s} {'all':>7s} {'95% kept':>9s} {'75% kept':>9s}")

    def show(name, labels, quality):
        agreement(name, labels[judged], quality[judged], expected)

    def scores(labels, method):
        return get_label_quality_scores(labels, probabilities, method=method, adjust_pred_probs=False)

    for method in SCORES:
        show(f"labels as given, dropped by {method}", given, scores(given, method))
    best = probabilities.argmax(axis=1)
    for filter_by in FILTERS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            issues = find_label_issues(given, probabilities, filter_by=filter_by, n_jobs=1)
        labels = np.where(issues, best, given)
        for method in SCORES:
            show(f"cleanlab: {filter_by}, {method} ({issues.sum()} issues)", labels, scores(labels, method))
    if "original_label" in table and "label_quality" in table:
        show("ours", table["label"].to_numpy().astype(int), table["label_quality"].to_numpy())


if __name__ == "__main__":
    main()
