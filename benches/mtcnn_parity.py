#!/usr/bin/env python3
"""Our MTCNN against the Python package `mtcnn` 1.0.0 (TensorFlow): the same faces, and time, two threads each, in turn.

    cargo build --release -p ferroflow-vision --features opencv --example detect
    python3 benches/mtcnn_parity.py photo.jpg ...      # with mtcnn, tensorflow and cv2 importable
"""
import json
import os
import statistics
import subprocess
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import cv2
import tensorflow as tf
from mtcnn import MTCNN

RUNS = 5
tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(2)


def iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def inside(box, width, height):
    x0, y0 = max(box[0], 0), max(box[1], 0)
    return [x0, y0, min(box[0] + box[2], width - 1) - x0, min(box[1] + box[3], height - 1) - y0]


detector = MTCNN()
ratios, worst, same, theirs_only, ours_only = [], 1.0, 0, 0, 0
for path in sys.argv[1:]:
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        reference = detector.detect_faces(image)
        times.append((time.perf_counter() - began) * 1e3)
    command = ["target/release/examples/detect", "mtcnn", "2", path]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    height, width = image.shape[:2]
    ours = [inside(face["box"], width, height) for face in answer["faces"]]
    for face in reference:
        best = max((iou(face["box"], box) for box in ours), default=0.0)
        if best >= 0.8:
            same, worst = same + 1, min(worst, best)
        else:
            theirs_only += 1
            print(f"  {path}: only theirs {face['box']} {face['confidence']:.3f}, best overlap {best:.2f}")
    for box, face in zip(ours, answer["faces"]):
        if max((iou(other["box"], box) for other in reference), default=0.0) < 0.8:
            ours_only += 1
            print(f"  {path}: only ours {[round(side) for side in box]} {face['confidence']:.3f}")
    ratios.append(min(times) / answer["milliseconds"])
    print(
        f"{os.path.basename(path)} {width}x{height}: {len(reference)} and {len(ours)} faces, "
        f"python {min(times):.1f} ms, ours {answer['milliseconds']:.1f} ms, ratio {ratios[-1]:.2f}"
    )
print(f"{same} faces the same (worst IoU {worst:.3f}), {theirs_only} only theirs, {ours_only} only ours")
print(f"ratio of the fastest of {RUNS} runs: median {statistics.median(ratios):.2f} (min {min(ratios):.2f}, max {max(ratios):.2f})")
