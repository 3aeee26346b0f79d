"""Images a second of a backbone in onnxruntime for Python, the baseline of the node `features`.

    python3 benches/features_onnxruntime.py fer2013.csv.gz sface-2021dec.onnx [2000]

Faces of 48x48 are enlarged to the network's 112x112 with Pillow (bilinear), three equal channels, batches of 32, as many threads as there
are cores. `ferroflow run` says how long its stage `features` took for the same faces:

    ferroflow run 'fer2013 path=fer2013.csv.gz ! sample rows=2000 ! features backbone=sface'
"""

import csv
import gzip
import os
import sys
import time

import numpy
import onnxruntime
from PIL import Image

BATCH = 32


def main():
    data, model = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    side = entry.shape[2]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else BATCH
    with gzip.open(data, "rt") as lines:
        rows = [row["pixels"] for _, row in zip(range(count), csv.DictReader(lines))]
    began = time.perf_counter()
    running = 0.0
    for start in range(0, len(rows), batch):
        faces = [numpy.array(row.split(), numpy.uint8).reshape(48, 48) for row in rows[start : start + batch]]
        large = [numpy.asarray(Image.fromarray(face).resize((side, side), Image.BILINEAR), numpy.float32) for face in faces]
        value = numpy.repeat(numpy.stack(large)[:, None], 3, axis=1)
        at = time.perf_counter()
        session.run(None, {entry.name: value})
        running += time.perf_counter() - at
    seconds = time.perf_counter() - began
    print(f"{len(rows) / seconds:.1f} images/s in all, {len(rows) / running:.1f} in the network alone (batches of {batch})")


main()
