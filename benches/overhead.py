#!/usr/bin/env python3
"""CPU time a frame of the whole pipeline against the sum of decoding, detecting and classifying measured alone.

    python3 benches/overhead.py clip.mp4 [detector] [runs]
"""
import json
import resource
import statistics
import subprocess
import sys

clip = sys.argv[1]
detector = sys.argv[2] if len(sys.argv) > 2 else "ssd"
runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
PROGRAM = "target/release/ferroflow"


def cpu(*command):
    """User and system seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def launch(chain):
    return cpu(PROGRAM, "launch", f'filesrc location="{clip}" ! qtdemux ! {chain} ! fakesink sync=false')


# The classifier that was measured first, which is no longer the default; benches/parts.rs has the same.
analysis = f"ferfacedetect detector={detector} ! fertrack ! queue max-size-buffers=4 ! ferexpression model=mini-xception ! fersmooth"
# Loading models and starting up is no work on frames: measured with one frame and taken off.
rows = []
for run in range(runs):
    bench = subprocess.run(
        ["cargo", "bench", "-q", "--bench", "parts", "--", clip, detector], check=True, capture_output=True, text=True
    )
    parts = json.loads(bench.stdout.strip().splitlines()[-1])
    frames = parts["frames"]
    start_decode = launch("avdec_h264 ! identity eos-after=2")
    decode = (launch("avdec_h264") - start_decode) / (frames - 1) * 1e3
    start = launch(f"avdec_h264 ! identity eos-after=2 ! {analysis}")
    whole = (launch(f"avdec_h264 ! queue max-size-buffers=4 ! {analysis}") - start) / (frames - 1) * 1e3
    alone = decode + parts["detect_cpu_ms"] + parts["classify_cpu_ms"]
    rows.append(whole / alone)
    print(
        f"run {run}: whole {whole:.2f} ms a frame; decode {decode:.2f} + detect {parts['detect_cpu_ms']:.2f} + "
        f"classify {parts['classify_cpu_ms']:.2f} = {alone:.2f} ms; ratio {whole / alone:.3f}",
        flush=True,
    )
print(f"median ratio {statistics.median(rows):.3f} (min {min(rows):.3f}, max {max(rows):.3f})")
