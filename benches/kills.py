#!/usr/bin/env python3
"""Kills a batch graph with SIGKILL at random moments, lets it go on each time, and compares the results with those of a run
that nobody disturbed, file by file.

    benches/kills.py --kills 20 --whole STORE --seconds 1200 -- target/release/ferroflow run pipelines/fer2013-clean.toml --set ...

STORE is the result store of the undisturbed run; `--seconds` is about how long that took. The killed runs use a new store.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time


def results(store):
    """Node and key -> {file: sha256} of every result, without the files that have times in them."""
    found = {}
    for folder in pathlib.Path(store, "results").iterdir():
        node = json.loads((folder / "record.json").read_text())["node"]
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ("record.json", "times.json"))
        found[f"{node} {folder.name[:12]}"] = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--whole", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as store:
        environment = {**os.environ, "FERROFLOW_STORE": store}
        began, kills = time.time(), 0
        while kills < arguments.kills:
            child = subprocess.Popen(arguments.command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            pause = chance.uniform(0.05, 1.9 * arguments.seconds / arguments.kills)
            try:
                child.wait(pause)
                break
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()
                kills += 1
                print(f"{time.time() - began:7.1f} s  killed after {pause:5.1f} s", flush=True)
        last = subprocess.run(arguments.command, env=environment, stdout=subprocess.DEVNULL)
        killed, whole = results(store), results(arguments.whole)
        same = {node: killed[node] == whole.get(node) for node in killed}
        print(f"{kills} kills, {time.time() - began:.0f} s in all, exit code {last.returncode}")
        for node, is_same in sorted(same.items()):
            print(f"  {node}: {len(killed[node])} files {'identical' if is_same else 'DIFFERENT'}")
        missing = sorted({node.split()[0] for node in whole} - {node.split()[0] for node in killed})
        if missing:
            print(f"  without a result: {', '.join(missing)}")
        sys.exit(0 if last.returncode == 0 and all(same.values()) and not missing else 1)


if __name__ == "__main__":
    main()
