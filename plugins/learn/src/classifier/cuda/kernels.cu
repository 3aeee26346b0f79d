// What a classifier's step on a CUDA device does besides its network's layers (native/layers.cu).

// Each face's part of the mean loss (cross entropy), and the gradient of its logits.
extern "C" __global__ void loss(int faces, int classes, double total, const float* values, const float* targets, float* losses,
                                float* gradient) {
    int face = THREAD();
    if (face >= faces) return;
    const float *value = values + face * classes, *target = targets + face * classes;
    float most = value[0], sum = 0.0f, wanted = 0.0f, lost = 0.0f, share = (float)(1.0 / total);
    for (int at = 1; at < classes; at++) most = fmaxf(most, value[at]);
    for (int at = 0; at < classes; at++) sum += expf(value[at] - most);
    float log_sum = most + logf(sum);
    for (int at = 0; at < classes; at++) {
        wanted += target[at];
        lost -= target[at] * (value[at] - log_sum);
    }
    losses[face] = lost * share;
    for (int at = 0; at < classes; at++) gradient[face * classes + at] = (expf(value[at] - log_sum) * wanted - target[at]) * share;
}

// Descent with weight decay and Nesterov's momentum, as burn-optim 0.21 has them, and the exponential mean of the weights.
extern "C" __global__ void descend(int count, int is_first, double rate, double decay, double momentum, double dampening, double part,
                                   const float* gradient, float* weights, float* velocity, float* mean) {
    int item = THREAD();
    if (item >= count) return;
    float slope = gradient[item] + (float)decay * weights[item];
    float moving = is_first ? slope : slope * (float)(1.0 - dampening) + velocity[item] * (float)momentum;
    velocity[item] = moving;
    weights[item] -= (float)rate * (slope + moving * (float)momentum);
    mean[item] += (weights[item] - mean[item]) * (float)part;
}
