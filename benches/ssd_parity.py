#!/usr/bin/env python3
"""The imported SSD against OpenCV's dnn on the same Caffe files: boxes, confidences and time.

    python3 benches/ssd_parity.py photo.jpg ...      # with cv2 and onnxruntime importable
"""
import os
import sys
import time

import cv2
import numpy as np
import onnxruntime

HOME = (os.environ.get("FERROFLOW_HOME") or os.path.expanduser("~/.cache/ferroflow")) + "/"
net = cv2.dnn.readNetFromCaffe(HOME + "deploy.prototxt", HOME + "res10_300x300_ssd_iter_140000.caffemodel")


def session(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(HOME + "ssd-resnet10.onnx", options)


ours = session(2)
faces, worst_pixels, worst_confidence = 0, 0.0, 0.0
for path in sys.argv[1:]:
    image = cv2.imread(path)
    height, width = image.shape[:2]
    blob = cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104, 177, 123))
    net.setInput(blob)
    reference = net.forward()[0, 0]
    confidences, boxes = (output[0] for output in ours.run(None, {"data": blob}))
    near = np.where(confidences > 0.3)[0]
    for row in reference[reference[:, 2] > 0.5]:
        scale = [width, height, width, height]
        differences = np.abs(boxes[near] * scale - row[3:7] * scale).max(1)
        best = differences.argmin()
        faces += 1
        worst_pixels = max(worst_pixels, differences[best])
        worst_confidence = max(worst_confidence, abs(confidences[near][best] - row[2]))
print(f"{faces} faces: boxes differ by {worst_pixels:.6f} pixels at most, confidences by {worst_confidence:.7f}")
for threads in (1, 2):
    cv2.setNumThreads(threads)
    ours = session(threads)
    for run in range(3):
        times = []
        for step in (lambda: (net.setInput(blob), net.forward()), lambda: ours.run(None, {"data": blob})):
            began = time.perf_counter()
            for _ in range(20):
                step()
            times.append((time.perf_counter() - began) / 20 * 1e3)
        print(f"{threads} threads, run {run}: cv2 {times[0]:.1f} ms, imported {times[1]:.1f} ms, ratio {times[0] / times[1]:.2f}")
