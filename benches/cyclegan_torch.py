#!/usr/bin/env python3
"""The step of plugins/learn/benches/cyclegan.rs in PyTorch, on as many threads: the same networks, losses and optimisers.

    python3 benches/cyclegan_torch.py [--width 64 --blocks 6 --batch 1 --steps 5 --threads 2 --device cpu]

prints the milliseconds of a step, the median of five rounds.
"""

import argparse
import random
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def normed(conv, channels, activation):
    return [conv, nn.BatchNorm2d(channels), *([activation] if activation else [])]


class Block(nn.Module):
    def __init__(self, channels, dropout):
        super().__init__()
        conv = lambda: nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
        layers = normed(conv(), channels, nn.ReLU(True)) + [nn.Dropout(dropout)] + normed(conv(), channels, None)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


def generator(width, blocks, dropout=0.5):
    conv = nn.Conv2d(1, width, 7, padding=3, padding_mode="reflect", bias=False)
    layers = normed(conv, width, nn.ReLU(True))
    for step in (1, 2):
        conv = nn.Conv2d(step * width, 2 * step * width, 3, 2, 1, bias=False)
        layers += normed(conv, 2 * step * width, nn.ReLU(True))
    layers += [Block(4 * width, dropout) for _ in range(blocks)]
    for step in (2, 1):
        conv = nn.ConvTranspose2d(2 * step * width, step * width, 3, 2, 1, 1, bias=False)
        layers += normed(conv, step * width, nn.ReLU(True))
    layers += [nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
    return nn.Sequential(*layers)


def discriminator(width):
    layers = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    layers += normed(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), 2 * width, nn.LeakyReLU(0.2, True))
    layers += normed(nn.Conv2d(2 * width, 4 * width, 4, 1, 1, bias=False), 4 * width, nn.LeakyReLU(0.2, True))
    return nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 4, 1, 1))


def ssim(x, y, window):
    blur = lambda t: F.conv2d(t, window)
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    return ((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("width", 64), ("blocks", 6), ("batch", 1), ("steps", 5), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    g = [generator(options.width, options.blocks).to(device) for _ in range(2)]
    d = [discriminator(options.width).to(device) for _ in range(2)]
    adam = lambda networks: torch.optim.Adam([p for n in networks for p in n.parameters()], 2e-4, (0.5, 0.999))
    descend_g, descend_d = adam(g), adam(d)
    bell = torch.exp(-((torch.arange(11) - 5) / 1.5) ** 2 / 2)
    bell = (bell / bell.sum()).to(device)
    window = (bell[:, None] * bell[None, :])[None, None]
    buffers = [[], []]

    def from_buffer(faces, buffer):
        out = []
        for face in faces.split(1):
            if len(buffer) < 50:
                buffer.append(face)
            elif random.random() < 0.5:
                at = random.randrange(50)
                face, buffer[at] = buffer[at], face
            out.append(face)
        return torch.cat(out)

    real = [torch.rand(options.batch, 1, 48, 48, device=device) * 2 - 1 for _ in range(2)]

    def step():
        fakes, loss = [], 0
        for n in d:
            n.requires_grad_(False)
        for at in (0, 1):
            fake = g[at](real[at])
            back = g[1 - at](fake)
            difference = real[at] - back
            cycle = (difference.abs().mean() + (difference**2).mean() + 1 - ssim(real[at], back, window)) / 3
            kept = (g[at](real[1 - at]) - real[1 - at]).abs().mean()
            loss = loss + (d[at](fake) ** 2).mean() + 5 * cycle + 2 * kept
            fakes.append(fake.detach())
        descend_g.zero_grad()
        loss.backward()
        descend_g.step()
        for n in d:
            n.requires_grad_(True)
        descend_d.zero_grad()
        for at in (0, 1):
            fake = from_buffer(fakes[at], buffers[at])
            (0.5 * ((d[at](real[1 - at]) ** 2).mean() + ((d[at](fake) - 1) ** 2).mean())).backward()
        descend_d.step()
        return loss.item()

    step()
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(options.steps):
            step()
        rounds.append((time.perf_counter() - began) / options.steps)
    print(f"PyTorch {torch.__version__}, {options}: {statistics.median(rounds) * 1e3:.1f} ms a step")


if __name__ == "__main__":
    main()
