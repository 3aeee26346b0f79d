#!/usr/bin/env python3
"""Does it help a classifier to see faces turned level? Accuracy on named expressions, as they are and with the head turned.

The sheets of the Python package openpeople 0.1.2 name sixteen expressions of ten synthetic people; seven are ours. Photos
are named by their files (`x_happy.jpg`).

    python3 benches/alignment.py detector emotions_sheet.jpg ... photo_happy.jpg ...      # with cv2 importable
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import cv2
import numpy as np

HOME = os.environ.get("FERROFLOW_HOME") or os.path.expanduser("~/.cache/ferroflow")
LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
SHEET = ["neutral", "happy", "sad", "angry", "surprise", "disgust", "fear"]
WORDS = {"angry": "angry", "disgusted": "disgust", "fearful": "fear", "happy": "happy", "sad": "sad", "surprised": "surprise", "neutral": "neutral"}
CARD = """task = "expression"
labels = {labels}
[input]
width = 64
height = 64
color = "gray"
scale = 0.007843137254901961
mean = [1.0]
crop_padding = 0.1
align = "{align}"
"""


def faces(path):
    image = cv2.imread(path)
    if os.path.basename(path) != "emotions_sheet.jpg":
        word = os.path.basename(path).rsplit("_", 1)[-1].split(".")[0]
        return [(image, WORDS[word])] if word in WORDS else []
    height, width = image.shape[:2]
    # The cells of the sheet's template, as shares of it.
    xs, ys, w, h = [0.04, 0.274, 0.508, 0.743], [0.065, 0.3, 0.535, 0.771], 0.216, 0.186
    cell = lambda i: image[int(ys[i // 4] * height):int((ys[i // 4] + h) * height), int(xs[i % 4] * width):int((xs[i % 4] + w) * width)]
    return [(cell(index), label) for index, label in enumerate(SHEET)]


def turned(image, angle):
    canvas = np.full((480, 640, 3), 128, np.uint8)
    scale = min(480 / image.shape[0], 640 / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y, x = (480 - small.shape[0]) // 2, (640 - small.shape[1]) // 2
    canvas[y:y + small.shape[0], x:x + small.shape[1]] = small
    return cv2.warpAffine(canvas, cv2.getRotationMatrix2D((320, 240), angle, 1.0), (640, 480), borderMode=cv2.BORDER_REPLICATE)


detector, pictures = sys.argv[1], [face for path in sys.argv[2:] for face in faces(path)]
print(f"{len(pictures)} faces, {detector}")
for angle in (0, 15, -15, 30, -30):
    results = []
    for align in ("none", "level", "arcface"):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(f"{HOME}/mini-xception.onnx", f"{folder}/net.onnx")
            with open(f"{folder}/net.toml", "w") as card:
                card.write(CARD.format(labels=json.dumps(LABELS), align=align))
            for index, (image, _) in enumerate(pictures):
                cv2.imwrite(f"{folder}/{index:04d}.png", turned(image, angle))
            chain = (
                f'multifilesrc location="{folder}/%04d.png" caps=image/png,framerate=1/1 ! pngdec ! videoconvert ! '
                f"ferfacedetect detector={detector} ! ferexpression model={folder}/net.onnx ! fermeta location={folder}/out.jsonl ! fakesink"
            )
            subprocess.run(["target/release/ferroflow", "launch", chain], check=True, capture_output=True)
            right = found = 0
            for line, (_, label) in zip(open(f"{folder}/out.jsonl"), pictures):
                objects = json.loads(line)["objects"]
                if objects:
                    best = max(objects, key=lambda face: face["detection"]["confidence"])
                    found += 1
                    right += best["emotion"]["label"] == label
            results.append(f"{align} {right} of {found} ({right / max(found, 1):.1%})")
    print(f"turned by {angle:+d} degrees: " + ", ".join(results), flush=True)
