// A classifier's step on a CUDA device, compiled when it is first used (NVRTC). Batches lie as `Grid` says (kernels/grid.rs), so that a
// convolution is a product of matrices; every kernel here is the counterpart of one in kernels/. Sums of many numbers are taken in
// chunks of their own, and those added in order: the result is the same each time.

// Rows of a batch: margin, faces, margin. Each line ends with one row that is no pixel, each face with a line of them.
#define GRID int faces, int height, int width
#define LINE (width + 1)
#define FACE ((height + 1) * LINE)
#define BODY (faces * FACE)
#define MARGIN (width + 2)

// Rows and columns of a product that one thread computes.
#define TILE 4

__device__ static bool is_pixel(int row, GRID) {
    int at = row - MARGIN;
    return at >= 0 && at < BODY && at % FACE / LINE < height && at % LINE < width;
}

__device__ static int least(int a, int b) { return a < b ? a : b; }

// 3x3 convolution. The three pixels of a kernel's line are 3 * inputs numbers side by side.
extern "C" __global__ void convolve(int threads, GRID, int inputs, int outputs, const float* __restrict__ x,
                                    const float* __restrict__ weights, float* __restrict__ out) {
    int item = THREAD();
    if (item >= threads) return;
    int columns = (outputs + TILE - 1) / TILE, first = item / columns * TILE, column = item % columns * TILE;
    float sum[TILE][TILE] = {};
    for (int line = 0; line < 3; line++) {
        const float* rows[TILE];
        for (int i = 0; i < TILE; i++) rows[i] = x + (least(first + i, BODY - 1) + line * LINE) * inputs;
        const float* taps = weights + line * 3 * inputs * outputs;
        for (int k = 0; k < 3 * inputs; k++) {
            float weight[TILE];
            for (int j = 0; j < TILE; j++) weight[j] = taps[k * outputs + least(column + j, outputs - 1)];
            for (int i = 0; i < TILE; i++) {
                float value = rows[i][k];
                for (int j = 0; j < TILE; j++) sum[i][j] = fmaf(value, weight[j], sum[i][j]);
            }
        }
    }
    for (int i = 0; i < TILE; i++) {
        if (first + i >= BODY) break;
        float* row = out + (MARGIN + first + i) * outputs;
        for (int j = 0; j < TILE && column + j < outputs; j++) row[column + j] = sum[i][j];
    }
}

// The weights with which a gradient is convolved to be that of the input.
extern "C" __global__ void turn(int count, int inputs, int outputs, const float* weights, float* turned) {
    int item = THREAD();
    if (item >= count) return;
    int output = item % outputs, input = item / outputs % inputs, tap = item / outputs / inputs;
    turned[((8 - tap) * outputs + output) * inputs + input] = weights[item];
}

// The gradient of the weights, of each chunk of rows by itself: chunks x 9 * inputs x outputs.
extern "C" __global__ void weigh(int threads, GRID, int inputs, int outputs, int chunk, const float* __restrict__ x,
                                 const float* __restrict__ gradient, float* __restrict__ parts) {
    int item = THREAD();
    if (item >= threads) return;
    int columns = (outputs + TILE - 1) / TILE, lines = (9 * inputs + TILE - 1) / TILE;
    int column = item % columns * TILE, first = item / columns % lines * TILE, part = item / columns / lines;
    const float* values[TILE];
    for (int i = 0; i < TILE; i++) {
        int at = least(first + i, 9 * inputs - 1);
        values[i] = x + at / (3 * inputs) * LINE * inputs + at % (3 * inputs);
    }
    float sum[TILE][TILE] = {};
    int end = least((part + 1) * chunk, BODY);
    for (int row = part * chunk; row < end; row++) {
        const float* of_row = gradient + (MARGIN + row) * outputs;
        float slope[TILE];
        for (int j = 0; j < TILE; j++) slope[j] = of_row[least(column + j, outputs - 1)];
        for (int i = 0; i < TILE; i++) {
            float value = values[i][row * inputs];
            for (int j = 0; j < TILE; j++) sum[i][j] = fmaf(value, slope[j], sum[i][j]);
        }
    }
    for (int i = 0; i < TILE && first + i < 9 * inputs; i++) {
        float* out = parts + (part * 9 * inputs + first + i) * outputs;
        for (int j = 0; j < TILE && column + j < outputs; j++) out[column + j] = sum[i][j];
    }
}

// Adds up parts of so many numbers, on top of what is there if `more`.
extern "C" __global__ void add_up(int count, int parts, int more, const float* values, float* out) {
    int item = THREAD();
    if (item >= count) return;
    float sum = more ? out[item] : 0.0f;
    for (int part = 0; part < parts; part++) sum += values[part * count + item];
    out[item] = sum;
}

// Sums of each channel, and of its squares, over each chunk of rows: chunks x 2 x channels.
extern "C" __global__ void sum_moments(int threads, GRID, int channels, int chunk, const float* x, float* parts) {
    int item = THREAD();
    if (item >= threads) return;
    int channel = item % channels, part = item / channels, end = MARGIN + least((part + 1) * chunk, BODY);
    float sum = 0.0f, square = 0.0f;
    for (int row = MARGIN + part * chunk; row < end; row++) {
        if (!is_pixel(row, faces, height, width)) continue;
        float value = x[row * channels + channel];
        sum += value;
        square += value * value;
    }
    parts[2 * part * channels + channel] = sum;
    parts[(2 * part + 1) * channels + channel] = square;
}

// What normalises a channel: the factor, the summand, the mean, and one by the deviation.
extern "C" __global__ void finish_moments(int channels, int parts, double pixels, double epsilon, const float* values, const float* gain,
                                          const float* bias, float* affine) {
    int channel = THREAD();
    if (channel >= channels) return;
    double sum = 0.0, square = 0.0;
    for (int part = 0; part < parts; part++) {
        sum += (double)values[2 * part * channels + channel];
        square += (double)values[(2 * part + 1) * channels + channel];
    }
    double mean = sum / pixels, variance = square / pixels - mean * mean;
    double inverse = 1.0 / sqrt((variance > 0.0 ? variance : 0.0) + epsilon);
    float scale = (float)((double)gain[channel] * inverse);
    affine[channel] = scale;
    affine[channels + channel] = bias[channel] - scale * (float)mean;
    affine[2 * channels + channel] = (float)mean;
    affine[3 * channels + channel] = (float)inverse;
}

// Normalisation and ReLU, of all rows: those that are no pixels become zeros.
extern "C" __global__ void norm_relu(int count, GRID, int channels, const float* x, const float* affine, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item % channels;
    float value = x[item] * affine[channel] + affine[channels + channel];
    out[item] = is_pixel(item / channels, faces, height, width) && value > 0.0f ? value : 0.0f;
}

// Sums of the gradient where the ReLU was open, and of the same times x, over each chunk of rows.
extern "C" __global__ void sum_gradients(int threads, GRID, int channels, int chunk, const float* x, const float* gradient,
                                         const float* affine, float* parts) {
    int item = THREAD();
    if (item >= threads) return;
    int channel = item % channels, part = item / channels, end = MARGIN + least((part + 1) * chunk, BODY);
    float scale = affine[channel], shift = affine[channels + channel], sum = 0.0f, product = 0.0f;
    for (int row = MARGIN + part * chunk; row < end; row++) {
        if (!is_pixel(row, faces, height, width)) continue;
        float value = x[row * channels + channel];
        if (!(value * scale + shift > 0.0f)) continue;
        sum += gradient[row * channels + channel];
        product += gradient[row * channels + channel] * value;
    }
    parts[2 * part * channels + channel] = sum;
    parts[(2 * part + 1) * channels + channel] = product;
}

// The gradients of gain and bias, and what mean and variance take away from that of x: slope * x + level.
extern "C" __global__ void finish_gradients(int channels, int parts, double pixels, int more, const float* values, const float* affine,
                                            float* gain, float* bias, float* slopes) {
    int channel = THREAD();
    if (channel >= channels) return;
    double sum = 0.0, product = 0.0;
    for (int part = 0; part < parts; part++) {
        sum += (double)values[2 * part * channels + channel];
        product += (double)values[(2 * part + 1) * channels + channel];
    }
    double scale = (double)affine[channel], mean = (double)affine[2 * channels + channel];
    double inverse = (double)affine[3 * channels + channel], about_mean = (product - mean * sum) * inverse;
    double slope = -scale * about_mean * inverse / pixels;
    gain[channel] = (more ? gain[channel] : 0.0f) + (float)about_mean;
    bias[channel] = (more ? bias[channel] : 0.0f) + (float)sum;
    slopes[channel] = (float)slope;
    slopes[channels + channel] = (float)(-scale * sum / pixels - slope * mean);
}

// The gradient of x, of all rows: zeros in those that are no pixels.
extern "C" __global__ void spread(int count, GRID, int channels, const float* x, const float* gradient, const float* affine,
                                  const float* slopes, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item % channels;
    float value = x[item], scale = affine[channel];
    float through = value * scale + affine[channels + channel] > 0.0f ? gradient[item] : 0.0f;
    float slope = scale * through + slopes[channel] * value + slopes[channels + channel];
    out[item] = is_pixel(item / channels, faces, height, width) ? slope : 0.0f;
}

// The number of a pixel (upper left of four) in the grid that is halved to item's row, or -1 where that is no pixel.
__device__ static int halved_from(int row, GRID) {
    int full_width = width, half_width = width / 2, half_height = height / 2, at = row - (half_width + 2);
    int line = half_width + 1, face = (half_height + 1) * line;
    if (at < 0 || at >= faces * face) return -1;
    int y = at % face / line, x = at % line;
    if (y >= half_height || x >= half_width) return -1;
    return full_width + 2 + at / face * FACE + 2 * y * LINE + 2 * x;
}

// The greatest of each 2x2 pixels, of all rows of the halved grid.
extern "C" __global__ void pool(int count, GRID, int channels, const float* x, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int from = halved_from(item / channels, faces, height, width), channel = item % channels;
    float greatest = 0.0f;
    if (from >= 0) {
        const float *upper = x + from * channels + channel, *lower = upper + LINE * channels;
        greatest = fmaxf(fmaxf(upper[0], upper[channels]), fmaxf(lower[0], lower[channels]));
    }
    out[item] = greatest;
}

// The gradient of what was halved, of all rows: it goes to the first of the greatest.
extern "C" __global__ void pool_back(int count, GRID, int channels, const float* x, const float* gradient, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int row = item / channels, channel = item % channels, at = row - MARGIN;
    float slope = 0.0f;
    if (is_pixel(row, faces, height, width)) {
        int y = at % FACE / LINE, x_at = at % LINE, half_width = width / 2, half_height = height / 2;
        if (y / 2 < half_height && x_at / 2 < half_width) {
            int mine = y % 2 * 2 + x_at % 2;
            const float* upper = x + (row - y % 2 * LINE - x_at % 2) * channels + channel;
            const float* lower = upper + LINE * channels;
            float four[4] = {upper[0], upper[channels], lower[0], lower[channels]};
            int first = 0;
            for (int other = 1; other < 4; other++) if (four[other] > four[first]) first = other;
            int half = half_width + 2 + (at / FACE * (half_height + 1) + y / 2) * (half_width + 1) + x_at / 2;
            if (first == mine) slope = gradient[half * channels + channel];
        }
    }
    out[item] = slope;
}

// The means over a face's pixels, times dropout's factors: faces x channels.
extern "C" __global__ void means(int count, GRID, int channels, const float* x, const float* keep, float* features) {
    int item = THREAD();
    if (item >= count) return;
    int face = item / channels, channel = item % channels;
    float sum = 0.0f;
    for (int row = 0; row < FACE; row++) sum += x[(MARGIN + face * FACE + row) * channels + channel];
    features[item] = sum / (float)(height * width) * keep[item];
}

extern "C" __global__ void means_back(int count, GRID, int channels, const float* gradient, const float* keep, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int row = item / channels;
    float slope = 0.0f;
    if (is_pixel(row, faces, height, width)) {
        int at = (row - MARGIN) / FACE * channels + item % channels;
        slope = gradient[at] * keep[at] / (float)(height * width);
    }
    out[item] = slope;
}

extern "C" __global__ void logits(int count, int channels, int classes, const float* features, const float* head, const float* bias,
                                  float* out) {
    int item = THREAD();
    if (item >= count) return;
    int face = item / classes, wanted = item % classes;
    float sum = bias[wanted];
    for (int channel = 0; channel < channels; channel++) sum = fmaf(features[face * channels + channel], head[channel * classes + wanted], sum);
    out[item] = sum;
}

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

// The gradients of the last layer: channels x classes, and behind them that of its bias.
extern "C" __global__ void head_back(int count, int faces, int channels, int classes, int more, const float* features,
                                     const float* gradient, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item / classes, wanted = item % classes;
    float sum = more ? out[item] : 0.0f;
    for (int face = 0; face < faces; face++) {
        float feature = channel < channels ? features[face * channels + channel] : 1.0f;
        sum = fmaf(feature, gradient[face * classes + wanted], sum);
    }
    out[item] = sum;
}

extern "C" __global__ void features_back(int count, int channels, int classes, const float* gradient, const float* head, float* out) {
    int item = THREAD();
    if (item >= count) return;
    int face = item / channels, channel = item % channels;
    float sum = 0.0f;
    for (int at = 0; at < classes; at++) sum = fmaf(gradient[face * classes + at], head[channel * classes + at], sum);
    out[item] = sum;
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
    mean[item] += ((weights[item]) - mean[item]) * (float)part;
}
