"""Compares Ferroflow's structural similarity with scikit-image's on real faces: each face beside its mirrored, noisy, brighter
and blurred version, and beside another face.

    cargo build --release -p ferroflow-learn --example ssim
    python benches/ssim.py fer2013.csv.gz [faces] [--ours target/release/examples/ssim]

Needs NumPy and scikit-image. Fails if any two values differ by 1e-4 or more. `--constants` prints those of plugins/learn/tests/ssim.rs.
"""

import argparse
import gzip
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage
from skimage.metrics import structural_similarity

SIDE = 48
LIMIT = 1e-4


def theirs(x, y, data_range):
    return structural_similarity(
        x, y, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


def constants():
    """The pictures and values of plugins/learn/tests/ssim.rs."""

    def picture(height, width, phase, contrast):
        y, x = np.mgrid[:height, :width].astype(float)
        waves = np.sin(x * 0.37 + phase) * np.cos(y * 0.23 - phase) + 0.3 * np.sin(x * y * 0.05 + phase)
        return (contrast * waves / 1.3).astype(np.float32).astype(float)

    for case in [(48, 48, 0.8, 0.7), (48, 48, 0.1, 1.0), (32, 20, 2.5, 0.4), (11, 11, 0.3, 0.9), (64, 48, 3.1, 1.0)]:
        height, width, phase, contrast = case
        value = theirs(picture(height, width, 0, 1), picture(height, width, phase, contrast), 2)
        print(f"{case}: {value:.7f}")


def read_faces(path, count):
    """Faces spread over the whole file."""
    with gzip.open(path, "rt") as file:
        total = sum(1 for _ in file) - 1
    step = max(total // count, 1)
    with gzip.open(path, "rt") as file:
        lines = itertools.islice(file, 1, None, step)
        rows = [line.split(",")[1].split() for line in itertools.islice(lines, count)]
    return np.array(rows, dtype=np.uint8).reshape(-1, SIDE, SIDE)


def pairs(faces):
    random = np.random.default_rng(0)
    wide = faces.astype(float)
    noisy = wide + random.normal(0, 20, faces.shape)
    smooth = (wide + np.roll(wide, 1, 2) + np.roll(wide, -1, 2) + np.roll(wide, 1, 1) + np.roll(wide, -1, 1)) / 5
    gray = lambda values: np.clip(np.rint(values), 0, 255).astype(np.uint8)
    others = np.roll(faces, 1, 0)
    versions = {
        "mirrored": faces[:, :, ::-1],
        "noisy": gray(noisy),
        "brighter": gray(wide * 1.2 + 15),
        "blurred": gray(smooth),
        "another face": others,
    }
    return versions


def ours(program, first, second):
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / name for name in ("first.gray", "second.gray")]
        for name, faces in zip(names, (first, second)):
            name.write_bytes(np.ascontiguousarray(faces).tobytes())
        out = subprocess.run([program, str(SIDE), str(SIDE), *names], check=True, capture_output=True, text=True)
    return np.array([line.split() for line in out.stdout.splitlines()], dtype=float)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("csv", nargs="?")
    parser.add_argument("faces", nargs="?", type=int, default=400)
    parser.add_argument("--ours", default="target/release/examples/ssim")
    parser.add_argument("--constants", action="store_true")
    arguments = parser.parse_args()
    if arguments.constants:
        return constants()
    if arguments.csv is None:
        parser.error("name fer2013.csv.gz")
    faces = read_faces(arguments.csv, arguments.faces)
    print(f"{len(faces)} faces, scikit-image {skimage.__version__}, NumPy {np.__version__}")
    print("| pair | pairs | mean SSIM, 0..255 | greatest difference, 0..255 | mean SSIM, -1..1 | greatest difference, -1..1 |")
    print("|---|---|---|---|---|---|")
    greatest = 0.0
    for name, second in pairs(faces).items():
        found = ours(arguments.ours, faces, second)
        gray = np.array([theirs(x.astype(float), y.astype(float), 255) for x, y in zip(faces, second)])
        centred = lambda values: values / 127.5 - 1.0
        loss = np.array([theirs(centred(x), centred(y), 2) for x, y in zip(faces, second)])
        if found.shape != (len(faces), 2):
            sys.exit(f"{arguments.ours} answered {found.shape}, not {(len(faces), 2)}")
        differences = abs(found - np.stack([gray, loss], 1)).max(0)
        greatest = max(greatest, differences.max())
        print(f"| {name} | {len(faces)} | {gray.mean():.4f} | {differences[0]:.1e} | {loss.mean():.4f} | {differences[1]:.1e} |")
    print(f"greatest difference: {greatest:.1e}")
    if not greatest < LIMIT:
        sys.exit(f"differs by {greatest:.1e}, {LIMIT:.0e} or more")


if __name__ == "__main__":
    main()
