#!/usr/bin/env python3
"""Frames a second of the whole pipeline against the plain Python loop, run in turn.

    python3 benches/throughput.py clip.mp4 [runs]      # with cv2 and onnxruntime importable
"""
import os
import re
import statistics
import subprocess
import sys

clip = sys.argv[1]
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
CHAIN = (
    f'filesrc location="{clip}" ! decodebin ! queue max-size-buffers=4 ! ferfacedetect detector=ssd ! fertrack ! '
    # The classifier of the Python loop, which is not the default.
    "queue max-size-buffers=4 ! ferexpression model=mini-xception ! fersmooth ! fakesink sync=false"
)


def python(**environment):
    command = [sys.executable, os.path.join(os.path.dirname(__file__), "python_loop.py"), clip, "2"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment}).stdout
    return float(re.search(r"fps=([\d.]+)", out).group(1)), out.strip()


def pipeline():
    out = subprocess.run(["target/release/ferroflow", "launch", CHAIN], check=True, capture_output=True, text=True).stderr
    return float(re.search(r"([\d.]+) frames/s", out).group(1)), out.strip()


def show(name, values):
    print(f"{name}: median {statistics.median(values):.2f} (min {min(values):.2f}, max {max(values):.2f})")


ours, plain, kind = [], [], []
for run in range(runs):
    plain_fps, plain_text = python()
    kind_fps, kind_text = python(NOSPIN="1")
    our_fps, our_text = pipeline()
    ours.append(our_fps), plain.append(plain_fps), kind.append(kind_fps)
    print(f"run {run}: ferroflow {our_fps:.1f}, python {plain_fps:.1f}, python without spinning {kind_fps:.1f} frames/s", flush=True)
print(our_text, plain_text, kind_text, sep="\n")
show("ferroflow frames/s", ours)
show("python frames/s", plain)
show("python without spinning frames/s", kind)
show("ratio to python", [a / b for a, b in zip(ours, plain)])
show("ratio to python without spinning", [a / b for a, b in zip(ours, kind)])
