"""A step of a classifier's training in PyTorch, the baseline of `cargo bench -p ferroflow-learn --bench step`.

The same network and work: 64 faces of 44x44 gray pixels as four channels of 22x22, 3x3 convolutions with batch normalisation and ReLU, a
2x2 maximum after the blocks marked p, the mean, one linear layer; back, and one step of SGD with Nesterov momentum. Faces are not
varied, which ours are.

    python3 benches/classifier_torch.py [--layers "32p 64 64p 128 128"] [--device cuda]
"""

import argparse
import statistics
import time

import torch
from torch import nn

FACES, ROUNDS = 64, 5


def network(layers):
    blocks, inputs = [], 4
    for word in layers.split():
        channels = int(word.rstrip("p"))
        blocks += [nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        blocks += [nn.MaxPool2d(2)] if word.endswith("p") else []
        inputs = channels
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 7))


def step_seconds(model, device, steps):
    descent = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    faces, labels = torch.randn(FACES, 4, 22, 22, device=device), (torch.arange(FACES) % 7).to(device)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    began = None
    for at in range(steps + 1):
        if at == 1:
            began = time.perf_counter()
        descent.zero_grad(set_to_none=True)
        loss = criterion(model(faces), labels)
        loss.backward()
        descent.step()
        loss.item()  # Ours looks at each step's loss too.
    return (time.perf_counter() - began) / steps


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", default="32p 64 64p 128 128")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    on_cpu = given.device == "cpu"
    # As Burn does on a device: products of matrices and convolutions round what they multiply to ten bits (TF32).
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    for threads in (1, 2) if on_cpu else (1,):
        torch.set_num_threads(threads)
        for form in (torch.contiguous_format, torch.channels_last):

            def seconds():
                model = network(given.layers).to(given.device, memory_format=form)
                return step_seconds(model, given.device, 10 if on_cpu else 100)

            if not on_cpu:
                seconds()
            name = "channels last" if form is torch.channels_last else "channels first"
            where = f"{threads} thread(s)" if on_cpu else given.device
            times = [seconds() for _ in range(ROUNDS)]
            print(f"{where}, {name}: {1e3 * statistics.median(times):.2f} ms a step of {FACES} faces")


main()
