#!/usr/bin/env python3
"""How a classifier's accuracy changes with the way its crops are turned (card: `align`), on pictures turned by some angles.

    cargo build --release -p ferroflow-vision --features opencv --example alignment
    python3 benches/alignment.py mini-xception yunet FOLDER [ANGLES]      # with numpy and cv2 importable

FOLDER holds any of: `sheets/*.jpg`, expression sheets of PyPI openpeople 0.1.2; `photos/*.jpg`, whose names end in the
expression; `fer2013.csv.gz`, of which the PrivateTest faces are put on sheets of 36, enlarged four times.
"""
import collections
import csv
import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np

CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
ANGLES = [int(angle) for angle in (sys.argv[4] if len(sys.argv) > 4 else "-30,-15,0,15,30").split(",")]
NAMES = {"disgusted": "disgust", "fearful": "fear", "surprised": "surprise"}
# The first seven of a sheet's sixteen cells are the seven expressions; middles of columns and rows as shares of its size.
COLUMNS, ROWS = [0.144, 0.381, 0.617, 0.852], [0.157, 0.393, 0.632, 0.863]
CELLS = ["neutral", "happy", "sad", "angry", "surprise", "disgust", "fear"]
SIDE, GRID = 256, 6


def sheet_faces(width, height):
    return [(COLUMNS[i % 4] * width, ROWS[i // 4] * height, CELLS[i]) for i in range(len(CELLS))]


def photo_faces(path, width, height):
    name = os.path.basename(path).rsplit(".", 1)[0].rsplit("_", 1)[-1]
    name = NAMES.get(name, name)
    return [(None, None, name)] if name in CLASSES else []


def fer_sheets(path, folder):
    rows = [row for row in csv.DictReader(gzip.open(path, "rt")) if row["Usage"] == "PrivateTest"]
    truths = {}
    for first in range(0, len(rows), GRID * GRID):
        sheet = np.full((SIDE * GRID, SIDE * GRID, 3), 128, np.uint8)
        truth = []
        for index, row in enumerate(rows[first : first + GRID * GRID]):
            face = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
            face = cv2.resize(face, (192, 192), interpolation=cv2.INTER_CUBIC)[..., None]
            x, y = index % GRID * SIDE + 32, index // GRID * SIDE + 32
            sheet[y : y + 192, x : x + 192] = face
            truth.append((x + 96, y + 96, CLASSES[int(row["emotion"])]))
        target = os.path.join(folder, f"fer{first:04}.png")
        cv2.imwrite(target, sheet)
        truths[target] = truth
    return truths


def run(pictures, truth_of, reach):
    """Counts for each angle and kind: right answers, faces that were found, faces that are there, and answers that are the
    same as for the picture that is not turned."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    command = [root + "/target/release/examples/alignment", MODEL, DETECTOR, ",".join(map(str, ANGLES)), *pictures]
    answers = collections.defaultdict(dict)
    expected = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        frame = json.loads(line)
        centers = np.array(frame["centers_in_picture"]).reshape(-1, 2)
        for number, (x, y, label) in enumerate(truth_of(frame["picture"], frame["width"], frame["height"])):
            face = (frame["picture"], number)
            expected[face] = label
            if not len(centers):
                continue
            if x is None:  # a portrait: the largest face
                best = int(np.argmax(frame["widths"]))
            else:
                distances = np.hypot(*(centers - (x, y)).T)
                best = int(distances.argmin())
                if distances[best] > reach:
                    continue
            for kind, scores in frame["scores"].items():
                answers[kind, frame["degrees"]][face] = CLASSES[int(np.argmax(scores[best]))]
    for kind in ("none", "level", "arcface"):
        cells = []
        for angle in ANGLES:
            found = answers[kind, angle]
            right = sum(expected[face] == label for face, label in found.items())
            still = answers[kind, 0]
            both = [face for face in found if face in still]
            same = sum(found[face] == still[face] for face in both)
            cells.append(f"{angle:+d}: {right}/{len(found)} = {right / max(len(found), 1):.1%} (as at 0: {same / max(len(both), 1):.0%})")
        print(f"  {kind:8}" + "  ".join(cells))
    print(f"  of {len(expected)} faces")


MODEL, DETECTOR, FOLDER = sys.argv[1:4]
sheets = sorted(glob.glob(FOLDER + "/sheets/*.jpg"))
photos = sorted(glob.glob(FOLDER + "/photos/*.jpg"))
print(f"{MODEL}, faces by {DETECTOR}; right answers at each angle")
if sheets:
    print(f"{len(sheets)} expression sheets")
    run(sheets, lambda path, width, height: sheet_faces(width, height), 150)
if photos:
    print("photos")
    run(photos, photo_faces, 0)
if os.path.exists(FOLDER + "/fer2013.csv.gz"):
    print("FER2013, PrivateTest")
    with tempfile.TemporaryDirectory() as folder:
        truths = fer_sheets(FOLDER + "/fer2013.csv.gz", folder)
        run(list(truths), lambda path, width, height: truths[path], 80)
