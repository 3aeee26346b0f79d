#!/usr/bin/env python3
"""The baseline: a plain Python loop over a video with OpenCV's capture and dnn and onnxruntime.

The same detector (the SSD's Caffe files) and the same classifier (the ONNX file) on the same number of threads, every
frame, faces of a frame in one batch. Prints frames a second, and the seconds of each part.

    python3 benches/python_loop.py clip.mp4 [threads] [repeat]
"""
import os
import sys
import time

import cv2
import numpy as np
import onnxruntime

HOME = os.environ.get("FERROFLOW_HOME") or os.path.expanduser("~/.cache/ferroflow")


def main():
    clip = sys.argv[1]
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    repeat = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromCaffe(f"{HOME}/deploy.prototxt", f"{HOME}/res10_300x300_ssd_iter_140000.caffemodel")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # onnxruntime's idle threads spin by default, which slows OpenCV's down by half: NOSPIN=1 is the kinder baseline.
    if os.environ.get("NOSPIN"):
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(f"{HOME}/mini-xception.onnx", options)
    name = session.get_inputs()[0].name
    frames = faces = 0
    parts = {"decode": 0.0, "detect": 0.0, "classify": 0.0}
    began = time.perf_counter()
    for _ in range(repeat):
        capture = cv2.VideoCapture(clip)
        while True:
            t0 = time.perf_counter()
            ok, frame = capture.read()
            t1 = time.perf_counter()
            parts["decode"] += t1 - t0
            if not ok:
                break
            frames += 1
            height, width = frame.shape[:2]
            net.setInput(cv2.dnn.blobFromImage(frame, 1.0, (300, 300), (104, 177, 123)))
            found = net.forward()[0, 0]
            found = found[found[:, 2] > 0.5]
            t2 = time.perf_counter()
            parts["detect"] += t2 - t1
            crops = []
            for x0, y0, x1, y1 in (found[:, 3:7] * [width, height, width, height]).astype(int):
                crop = frame[max(y0, 0):max(y1, 0), max(x0, 0):max(x1, 0)]
                if crop.size:
                    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
                    crops.append(cv2.resize(gray, (64, 64)).astype(np.float32) * (2 / 255) - 1)
            if crops:
                session.run(None, {name: np.stack(crops)[:, None]})
            faces += len(crops)
            parts["classify"] += time.perf_counter() - t2
    elapsed = time.perf_counter() - began
    times = " ".join(f"{part}={seconds:.3f}" for part, seconds in parts.items())
    print(f"frames={frames} faces={faces} seconds={elapsed:.3f} fps={frames / elapsed:.2f} {times}")


main()
