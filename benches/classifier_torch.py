"""A step of a classifier's training in PyTorch, the baseline of `cargo bench -p ferroflow-learn --bench step`.

The same network and work: 64 faces of 44x44 gray pixels as four channels of 22x22, 3x3 convolutions with batch normalisation and ReLU, a
2x2 maximum after the blocks marked p, the mean, one linear layer; back, and one step of SGD with Nesterov momentum. Faces are not
varied, which ours are.

    python3 benches/classifier_torch.py ["32p 64 64p 128 128"]
"""

import statistics
import sys
import time

import torch
from torch import nn

FACES, STEPS, ROUNDS = 64, 10, 5


def network(layers):
    blocks, inputs = [], 4
    for word in layers.split():
        channels = int(word.rstrip("p"))
        blocks += [nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        blocks += [nn.MaxPool2d(2)] if word.endswith("p") else []
        inputs = channels
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 7))


def step_seconds(model):
    descent = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    faces, labels = torch.randn(FACES, 4, 22, 22), torch.arange(FACES) % 7
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    began = None
    for at in range(STEPS + 1):
        if at == 1:
            began = time.perf_counter()
        descent.zero_grad(set_to_none=True)
        criterion(model(faces), labels).backward()
        descent.step()
    return (time.perf_counter() - began) / STEPS


def main():
    layers = sys.argv[1] if len(sys.argv) > 1 else "32p 64 64p 128 128"
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for form in (torch.contiguous_format, torch.channels_last):
            seconds = [step_seconds(network(layers).to(memory_format=form)) for _ in range(ROUNDS)]
            name = "channels last" if form is torch.channels_last else "channels first"
            print(f"{threads} thread(s), {name}: {1e3 * statistics.median(seconds):.1f} ms a step of {FACES} faces")


main()
