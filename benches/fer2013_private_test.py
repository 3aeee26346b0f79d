#!/usr/bin/env python3
"""Accuracy of an imported classifier on FER2013's PrivateTest.

    python3 benches/fer2013_private_test.py fer2013.csv.gz      # with cv2 and onnxruntime importable
"""
import csv
import gzip
import os
import sys

import cv2
import numpy as np
import onnxruntime

HOME = (os.environ.get("FERROFLOW_HOME") or os.path.expanduser("~/.cache/ferroflow")) + "/"
session = onnxruntime.InferenceSession(HOME + "mini-xception.onnx")
name = session.get_inputs()[0].name
images, labels = [], []
for row in csv.DictReader(gzip.open(sys.argv[1], "rt")):
    if row["Usage"] == "PrivateTest":
        image = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
        images.append(cv2.resize(image, (64, 64)).astype(np.float32) * (2 / 255) - 1)
        labels.append(int(row["emotion"]))
images, labels = np.array(images)[:, None], np.array(labels)
answers = np.concatenate([session.run(None, {name: images[i:i + 256]})[0] for i in range(0, len(images), 256)]).argmax(1)
print(f"{len(labels)} images, accuracy {(answers == labels).mean():.4%}")
for label, word in enumerate("angry disgust fear happy sad surprise neutral".split()):
    print(f"  {word:<9} recall {(answers[labels == label] == label).mean():.1%}")
