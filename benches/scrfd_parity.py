#!/usr/bin/env python3
"""Our SCRFD against the Python package `scrfd` 0.3.0 on the same pictures: boxes, landmarks and confidences.

Pictures are brought to 640x640, the only size of the package's file, so that neither side resizes; then to 416x416 and 320x256, at
which ours runs its freed file and the package's decoding runs the same file.

    pip install scrfd==0.3.0 opencv-python-headless
    cargo build --release -p ferroflow-vision --features opencv --example detect
    python3 benches/scrfd_parity.py scrfd.onnx photo.jpg ...      # the package's own file, models/scrfd.onnx of its source archive
"""
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np
import onnxruntime
from PIL import Image
from scrfd import SCRFD, Threshold
from scrfd.base import SCRFDBase

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
HOME = os.environ.get("FERROFLOW_HOME") or os.path.expanduser("~/.cache/ferroflow")
LEAST, SUPPRESSION = 0.5, 0.4


def package(image):
    """The package as it is used; 640x640 only."""
    faces = reference.detect(Image.fromarray(image), Threshold(probability=LEAST, nms=SUPPRESSION))
    corners = [(face.bbox.upper_left, face.bbox.lower_right) for face in faces]
    points = [[face.keypoints.left_eye, face.keypoints.right_eye, face.keypoints.nose, face.keypoints.left_mouth, face.keypoints.right_mouth] for face in faces]
    return [
        ([a.x, a.y, b.x, b.y], face.probability, [[p.x, p.y] for p in landmarks])
        for face, (a, b), landmarks in zip(faces, corners, points)
    ]


def decoded(image):
    """The package's decoding of the freed file's answers at any size."""
    height, width = image.shape[:2]
    blob = SCRFDBase.blob_from_image(image, swap_rb=False)[None]
    answers = freed.run(None, {freed.get_inputs()[0].name: blob})
    rows = []
    for index, stride in enumerate((8, 16, 32)):
        y, x = np.mgrid[: height // stride, : width // stride].astype(np.float32) * stride
        centers = np.repeat(np.stack([x, y], -1).reshape(-1, 2), 2, axis=0)
        scores, boxes, points = (answers[index + 3 * part][0] for part in range(3))
        boxes = SCRFDBase.distance2bbox(None, centers, boxes * stride)
        points = SCRFDBase.distance2kps(None, centers, points * stride)
        kept = scores[:, 0] >= LEAST
        rows.append(np.hstack([boxes[kept], scores[kept], points[kept]]))
    rows = np.vstack(rows)
    rows = rows[rows[:, 4].argsort()[::-1]]
    rows = rows[SCRFDBase.nms(rows[:, :5], SUPPRESSION)] if len(rows) else rows
    return [(row[:4].tolist(), row[4], row[5:].reshape(5, 2).tolist()) for row in rows]


def ours(images):
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{index:03}.png" for index in range(len(images))]
        for path, image in zip(paths, images):
            cv2.imwrite(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        command = [ROOT + "/target/release/examples/detect", "scrfd", "2", *paths]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line)["faces"] for line in lines]


reference = SCRFD.from_path(sys.argv[1], providers=["CPUExecutionProvider"])
freed = onnxruntime.InferenceSession(HOME + "/scrfd.onnx")
pictures = [cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in sys.argv[2:]]
for size, answer in (((640, 640), package), ((416, 416), decoded), ((320, 256), decoded)):
    images = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    wanted_faces, matched, extra, pixels, landmark, confidence = 0, 0, 0, 0.0, 0.0, 0.0
    for image, found in zip(images, ours(images)):
        wanted = answer(image)
        wanted_faces += len(wanted)
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (face["box"] for face in found)]).reshape(-1, 4)
        taken = set()
        for corners, sure, points in wanted:
            off = np.abs(boxes - corners).max(1) if len(boxes) else np.array([np.inf])
            best = int(off.argmin())
            if off[best] > 1.0:
                continue
            taken.add(best)
            matched += 1
            pixels = max(pixels, off[best])
            landmark = max(landmark, np.abs(np.array(found[best]["landmarks"]) - points).max())
            confidence = max(confidence, abs(found[best]["confidence"] - sure))
        extra += len(found) - len(taken)
    print(
        f"{size[0]}x{size[1]} against the package's {answer.__name__}: {matched} of {wanted_faces} faces in {len(images)} pictures, {extra} only ours; "
        f"boxes within {pixels:.4f} pixels, landmarks {landmark:.4f}, confidences {confidence:.6f}"
    )
