#!/usr/bin/env python3
"""Resident memory of the whole pipeline after 1,000 and after 20,000 frames of a looped clip.

The clip is repeated without being encoded again (ffmpeg -stream_loop), frames are counted by the program's own metrics.

    python3 benches/memory.py clip.mp4 [detector]
"""
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

clip = sys.argv[1]
detector = sys.argv[2] if len(sys.argv) > 2 else "yunet"
ADDRESS = "127.0.0.1:9464"


def frames():
    try:
        text = urllib.request.urlopen(f"http://{ADDRESS}/metrics", timeout=2).read().decode()
    except OSError:
        return 0
    found = re.search(r"^ferroflow_frames_total\{[^}]*\} (\d+)", text, re.M)
    return int(found.group(1)) if found else 0


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))


with tempfile.TemporaryDirectory() as folder:
    long = f"{folder}/long.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "200", "-i", clip, "-an", "-c", "copy", "-frames:v", "21000", long], check=True)
    pipeline = (
        f'filesrc location="{long}" ! decodebin ! queue max-size-buffers=4 ! ferfacedetect detector={detector} ! fertrack ! '
        # The classifier that was measured first, which is no longer the default.
        f"queue max-size-buffers=4 ! ferexpression model=mini-xception ! fersmooth ! feroverlay ! fermeta location={folder}/faces.jsonl ! "
        "fakesink sync=false"
    )
    run = subprocess.Popen(["target/release/ferroflow", "--metrics-listen", ADDRESS, "launch", pipeline], stderr=subprocess.DEVNULL)
    marks = {}
    began = time.time()
    for mark in (1000, 5000, 10000, 15000, 20000):
        while run.poll() is None and frames() < mark:
            time.sleep(0.2)
        marks[mark] = resident(run.pid)
        print(f"frames>={mark} rss_kib={marks[mark]} seconds={time.time() - began:.0f}", flush=True)
    run.wait()
growth = marks[20000] / marks[1000] - 1
print(f"growth from 1000 to 20000 frames: {growth:+.2%}")
sys.exit(growth > 0.02)
