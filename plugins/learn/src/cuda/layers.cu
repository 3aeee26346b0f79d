// Layers of networks that train on a CUDA device, compiled when they are first used (NVRTC). Maps are sides x maps x pixels x channels:
// sides are networks of one shape that learn at once, each with weights of its own, `stride` numbers after those of the one before.
// Sums of many numbers are taken in parts, and those added in order: the result is the same each time.

// Rows and columns of a product that one thread computes, and numbers that it loads at once.
#define TILE 4
struct __align__(16) Four { float at[TILE]; };

__device__ static int least(int a, int b) { return a < b ? a : b; }

__device__ static Four four(const float* at) { return *reinterpret_cast<const Four*>(at); }

// One channel more of a tile's product.
__device__ static void multiply(float sum[TILE][TILE], const float value[TILE], const float weight[TILE]) {
    for (int i = 0; i < TILE; i++) {
        for (int j = 0; j < TILE; j++) sum[i][j] = fmaf(value[i], weight[j], sum[i][j]);
    }
}

// Any convolution, transposed or not, and the gradient of its input: a pixel of the result sums, for each tap, the pixels of x that the
// table names (up to `share`; -1 is none), times the tap's weights (inputs x outputs). Parts hold some of the taps each; a single one is
// added to what is there if `more`.
extern "C" __global__ void convolve(int threads, int sides, int rows, int from, int to, int inputs, int outputs, int taps, int share,
                                    int parts, int stride, int more, const int* __restrict__ table,
                                    const float* __restrict__ x, const float* __restrict__ weights, float* __restrict__ out) {
    int item = THREAD();
    if (item >= threads) return;
    int columns = (outputs + TILE - 1) / TILE, tiles = (rows + TILE - 1) / TILE;
    int column = item % columns * TILE, first = item / columns % tiles * TILE;
    int side = item / columns / tiles % sides, part = item / columns / tiles / sides;
    const int* entries[TILE];
    const float* maps[TILE];
    for (int i = 0; i < TILE; i++) {
        int row = least(first + i, rows - 1);
        entries[i] = table + row % to * taps * share;
        maps[i] = x + (side * (rows / to) + row / to) * from * inputs;
    }
    float sum[TILE][TILE] = {};
    bool is_wide = inputs % TILE == 0 && outputs % TILE == 0, is_one = inputs % TILE == 0 && outputs == 1;
    for (int tap = part * taps / parts; tap < (part + 1) * taps / parts; tap++) {
        const float* of_tap = weights + side * stride + tap * inputs * outputs + column;
        for (int slot = tap * share; slot < (tap + 1) * share; slot++) {
            const float* source[TILE];
            bool any = false;
            for (int i = 0; i < TILE; i++) {
                int at = entries[i][slot];
                source[i] = at < 0 ? nullptr : maps[i] + at * inputs;
                any = any || at >= 0;
            }
            if (!any) continue;
            if (is_wide) {
                for (int k = 0; k < inputs; k += TILE) {
                    Four values[TILE];
                    for (int i = 0; i < TILE; i++) values[i] = source[i] ? four(source[i] + k) : Four{};
                    for (int l = 0; l < TILE; l++) {
                        float value[TILE];
                        for (int i = 0; i < TILE; i++) value[i] = values[i].at[l];
                        multiply(sum, value, four(of_tap + (k + l) * outputs).at);
                    }
                }
                continue;
            }
            if (is_one) {
                for (int k = 0; k < inputs; k += TILE) {
                    Four weight = four(of_tap + k);
                    for (int i = 0; i < TILE; i++) {
                        Four value = source[i] ? four(source[i] + k) : Four{};
                        for (int l = 0; l < TILE; l++) sum[i][0] = fmaf(value.at[l], weight.at[l], sum[i][0]);
                    }
                }
                continue;
            }
            for (int k = 0; k < inputs; k++) {
                float value[TILE], weight[TILE];
                for (int i = 0; i < TILE; i++) value[i] = source[i] ? source[i][k] : 0.0f;
                for (int j = 0; j < TILE; j++) weight[j] = column + j < outputs ? of_tap[k * outputs + j] : 0.0f;
                multiply(sum, value, weight);
            }
        }
    }
    for (int i = 0; i < TILE && first + i < rows; i++) {
        float* row = out + ((part * sides + side) * rows + first + i) * outputs + column;
        for (int j = 0; j < TILE && column + j < outputs; j++) row[j] = (more ? row[j] : 0.0f) + sum[i][j];
    }
}

// The gradient of a convolution's weights, of each chunk of rows by itself: parts x sides x taps x inputs x outputs. A single part goes
// where it belongs, a side's `stride` numbers after those of the one before, on top of what is there if `more`.
extern "C" __global__ void weigh(int threads, int sides, int rows, int from, int to, int inputs, int outputs, int taps, int chunk,
                                 int stride, int more, const int* __restrict__ table, const float* __restrict__ x, const float* __restrict__ gradient,
                                 float* __restrict__ parts) {
    int item = THREAD();
    if (item >= threads) return;
    int columns = (outputs + TILE - 1) / TILE, lines = (inputs + TILE - 1) / TILE;
    int column = item % columns * TILE, line = item / columns % lines * TILE, tap = item / columns / lines % taps;
    int side = item / columns / lines / taps % sides, part = item / columns / lines / taps / sides;
    x += side * (rows / to) * from * inputs + line;
    gradient += side * rows * outputs + column;
    float sum[TILE][TILE] = {};
    bool is_wide = inputs % TILE == 0 && outputs % TILE == 0;
    int row = part * chunk, end = least(row + chunk, rows), pixel = row % to;
    const float* map = x + row / to * from * inputs;
    // Of the next row, so that it is there when it is needed.
    int next = table[pixel * taps + tap];
    for (; row < end; row++) {
        int at = next;
        next = table[(pixel + 1 == to ? 0 : pixel + 1) * taps + tap];
        if (at >= 0) {
            const float *of_x = map + at * inputs, *of_row = gradient + row * outputs;
            if (is_wide) {
                multiply(sum, four(of_x).at, four(of_row).at);
            } else {
                float value[TILE], slope[TILE];
                for (int i = 0; i < TILE; i++) value[i] = line + i < inputs ? of_x[i] : 0.0f;
                for (int j = 0; j < TILE; j++) slope[j] = column + j < outputs ? of_row[j] : 0.0f;
                multiply(sum, value, slope);
            }
        }
        if (++pixel == to) {
            pixel = 0;
            map += from * inputs;
        }
    }
    float* out = parts + part * sides * taps * inputs * outputs + side * stride + tap * inputs * outputs;
    for (int i = 0; i < TILE && line + i < inputs; i++) {
        float* row_of = out + (line + i) * outputs + column;
        for (int j = 0; j < TILE && column + j < outputs; j++) row_of[j] = (more ? row_of[j] : 0.0f) + sum[i][j];
    }
}

// Adds up parts of `count` numbers, on top of what is there if `more`. Each `size` of them are a side's.
extern "C" __global__ void add_up(int count, int size, int stride, int parts, int more, const float* __restrict__ values,
                                  float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    float* to = out + item / size * stride + item % size;
    float sum = more ? *to : 0.0f;
    for (int part = 0; part < parts; part++) sum += values[part * count + item];
    *to = sum;
}

// The weights of all convolutions, tap by tap transposed: outputs x inputs, for the gradients of their inputs. A convolution's shape is
// where its weights begin, how many there are, inputs and outputs.
extern "C" __global__ void turn(int count, int stride, int shapes, const int* __restrict__ shape, const float* __restrict__ weights,
                                float* __restrict__ turned) {
    int item = THREAD();
    if (item >= count) return;
    for (int layer = 0; layer < shapes; layer++, shape += 4) {
        int at = item % stride - shape[0], inputs = shape[2], outputs = shape[3];
        if (at < 0 || at >= shape[1]) continue;
        int output = at % outputs, input = at / outputs % inputs, tap = at / outputs / inputs;
        turned[item - at + (tap * outputs + output) * inputs + input] = weights[item];
    }
}

// Each channel's mean, and the sum of squared distances from it, over each chunk of a group's rows: parts x groups x 2 x channels.
extern "C" __global__ void sum_moments(int threads, int groups, int rows, int channels, int chunk, const float* __restrict__ x,
                                       float* __restrict__ parts) {
    int item = THREAD();
    if (item >= threads) return;
    int channel = item % channels, group = item / channels % groups, part = item / channels / groups;
    int first = part * chunk, end = least(first + chunk, rows);
    // Distances from the first number: squares of a channel far from zero would leave nothing of its variance.
    float pivot = x[(group * rows + first) * channels + channel], sum = 0.0f, square = 0.0f;
    for (int row = first; row < end; row++) {
        float value = x[(group * rows + row) * channels + channel] - pivot;
        sum += value;
        square += value * value;
    }
    float* out = parts + (part * groups + group) * 2 * channels + channel;
    out[0] = pivot + sum / (float)(end - first);
    out[channels] = square - sum * sum / (float)(end - first);
}

// What is done to each channel of a group: the factor, the summand, the mean, and one by the deviation. Where nothing is normalised, only
// a bias is added. Without parts, values are means and variances that are the same for all groups.
extern "C" __global__ void finish_moments(int count, int groups, int of_side, int channels, int parts, int is_normed, int stride,
                                          int rows, int chunk, double epsilon, const float* values, const float* gain,
                                          const float* bias, float* affine) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item % channels, group = item / channels, at = group / of_side * stride + channel;
    float* out = affine + group * 4 * channels + channel;
    const float* first = values + group * 2 * channels + channel;
    double mean = 0.0, variance = 0.0;
    for (int part = 0; part < parts; part++) {
        mean += (double)first[part * groups * 2 * channels] * (double)(least((part + 1) * chunk, rows) - part * chunk);
    }
    mean /= (double)rows;
    for (int part = 0; part < parts; part++) {
        const float* of_part = first + part * groups * 2 * channels;
        double apart = (double)of_part[0] - mean, count = (double)(least((part + 1) * chunk, rows) - part * chunk);
        variance += (double)of_part[channels] + count * apart * apart;
    }
    variance /= (double)rows;
    if (is_normed && parts == 0) {
        mean = (double)values[channel];
        variance = (double)values[channels + channel];
    }
    double inverse = 1.0 / sqrt((variance > 0.0 ? variance : 0.0) + epsilon);
    float scale = is_normed ? (float)((double)gain[at] * inverse) : 1.0f;
    out[0] = scale;
    out[channels] = is_normed ? bias[at] - scale * (float)mean : bias[at];
    out[2 * channels] = is_normed ? (float)mean : 0.0f;
    out[3 * channels] = is_normed ? (float)inverse : 1.0f;
}

// Factor and summand, and then `slope` times what is negative.
extern "C" __global__ void apply(int count, int rows, int channels, double slope, const float* __restrict__ x,
                                 const float* __restrict__ affine, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    const float* of_group = affine + item / channels / rows * 4 * channels + item % channels;
    float value = x[item] * of_group[0] + of_group[channels];
    out[item] = value > 0.0f ? value : (float)slope * value;
}

// Sums of the gradient before the factor, and of the same times x less its mean, over each chunk of a group's rows.
extern "C" __global__ void sum_gradients(int threads, int groups, int rows, int channels, int chunk, double slope,
                                         const float* __restrict__ x, const float* __restrict__ gradient,
                                         const float* __restrict__ affine, float* __restrict__ parts) {
    int item = THREAD();
    if (item >= threads) return;
    int channel = item % channels, group = item / channels % groups, part = item / channels / groups;
    const float* of_group = affine + group * 4 * channels + channel;
    float scale = of_group[0], shift = of_group[channels], mean = of_group[2 * channels], sum = 0.0f, product = 0.0f;
    for (int row = part * chunk; row < least((part + 1) * chunk, rows); row++) {
        int at = (group * rows + row) * channels + channel;
        float value = x[at], through = value * scale + shift > 0.0f ? gradient[at] : (float)slope * gradient[at];
        sum += through;
        product += through * (value - mean);
    }
    float* out = parts + (part * groups + group) * 2 * channels + channel;
    out[0] = sum;
    out[channels] = product;
}

// The gradients of gain and bias, on top of what is there if `more`, and not at all without `learns`; and what mean and variance take
// away from that of x: slope * x + level, for each group.
extern "C" __global__ void finish_gradients(int count, int groups, int of_side, int channels, int parts, int is_normed, int stride,
                                            double rows, int learns, int more, const float* values, const float* affine, float* gain,
                                            float* bias, float* slopes) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item % channels, side = item / channels, at = side * stride + channel;
    double of_gain = 0.0, of_bias = 0.0;
    for (int group = side * of_side; group < (side + 1) * of_side; group++) {
        double sum = 0.0, product = 0.0;
        for (int part = 0; part < parts; part++) {
            const float* of_part = values + (part * groups + group) * 2 * channels + channel;
            sum += (double)of_part[0];
            product += (double)of_part[channels];
        }
        const float* of_group = affine + group * 4 * channels + channel;
        double scale = (double)of_group[0], mean = (double)of_group[2 * channels], inverse = (double)of_group[3 * channels];
        double slope = -scale * product * inverse * inverse / rows;
        slopes[group * 2 * channels + channel] = is_normed ? (float)slope : 0.0f;
        slopes[(group * 2 + 1) * channels + channel] = is_normed ? (float)(-scale * sum / rows - slope * mean) : 0.0f;
        of_gain += product * inverse;
        of_bias += sum;
    }
    if (!learns) return;
    if (is_normed) gain[at] = (more ? gain[at] : 0.0f) + (float)of_gain;
    bias[at] = (more ? bias[at] : 0.0f) + (float)of_bias;
}

// The gradient of x.
extern "C" __global__ void spread(int count, int rows, int channels, double slope, const float* __restrict__ x,
                                  const float* __restrict__ gradient, const float* __restrict__ affine,
                                  const float* __restrict__ slopes, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item % channels, group = item / channels / rows;
    const float *of_group = affine + group * 4 * channels + channel, *tilt = slopes + group * 2 * channels + channel;
    float value = x[item], open = value * of_group[0] + of_group[channels] > 0.0f ? of_group[0] : of_group[0] * (float)slope;
    out[item] = open * gradient[item] + tilt[0] * value + tilt[channels];
}

// Leaves out a part of x at random and makes the rest larger instead. Each group has its own random numbers (SplitMix64, as in
// random.rs), of which maps x channels x pixels are used in this order, after `before` others.
extern "C" __global__ void drop(int count, int maps, int pixels, int channels, int before, double rate,
                                const unsigned long long* __restrict__ seeds, const float* __restrict__ x, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int channel = item % channels, pixel = item / channels % pixels, map = item / channels / pixels;
    unsigned long long draw = (unsigned long long)before + (unsigned long long)(((map % maps) * channels + channel) * pixels + pixel);
    unsigned long long bits = seeds[map / maps] + (draw + 1ULL) * 0x9e3779b97f4a7c15ULL;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
    bits = bits ^ (bits >> 31);
    float unit = (float)(bits >> 40) / 16777216.0f;
    out[item] = unit < (float)rate ? 0.0f : x[item] * (1.0f / (1.0f - (float)rate));
}

extern "C" __global__ void add(int count, const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ out) {
    int item = THREAD();
    if (item < count) out[item] = x[item] + y[item];
}

extern "C" __global__ void squash(int count, const float* __restrict__ x, float* __restrict__ out) {
    int item = THREAD();
    if (item < count) out[item] = tanhf(x[item]);
}

// The gradient of what was squashed to y.
extern "C" __global__ void squash_back(int count, const float* __restrict__ y, const float* __restrict__ gradient,
                                       float* __restrict__ out) {
    int item = THREAD();
    if (item < count) out[item] = gradient[item] * (1.0f - y[item] * y[item]);
}

// The greatest of each 2x2 pixels of maps of height x width.
extern "C" __global__ void pool(int count, int height, int width, int channels, const float* __restrict__ x, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int half_width = width / 2, half_height = height / 2, channel = item % channels, pixel = item / channels;
    int column = pixel % half_width, line = pixel / half_width % half_height, map = pixel / half_width / half_height;
    const float* upper = x + ((map * height + 2 * line) * width + 2 * column) * channels + channel;
    const float* lower = upper + width * channels;
    out[item] = fmaxf(fmaxf(upper[0], upper[channels]), fmaxf(lower[0], lower[channels]));
}

// The gradient of what was halved: it goes to the first of the greatest.
extern "C" __global__ void pool_back(int count, int height, int width, int channels, const float* __restrict__ x,
                                     const float* __restrict__ gradient, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int half_width = width / 2, half_height = height / 2, channel = item % channels, pixel = item / channels;
    int column = pixel % width, line = pixel / width % height, map = pixel / width / height;
    float slope = 0.0f;
    if (line / 2 < half_height && column / 2 < half_width) {
        const float* upper = x + ((map * height + line / 2 * 2) * width + column / 2 * 2) * channels + channel;
        const float* lower = upper + width * channels;
        float four[4] = {upper[0], upper[channels], lower[0], lower[channels]};
        int first = 0;
        for (int other = 1; other < 4; other++) if (four[other] > four[first]) first = other;
        if (first == line % 2 * 2 + column % 2) {
            slope = gradient[((map * half_height + line / 2) * half_width + column / 2) * channels + channel];
        }
    }
    out[item] = slope;
}

// The mean over a map's pixels.
extern "C" __global__ void average(int count, int pixels, int channels, const float* __restrict__ x, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    const float* first = x + item / channels * pixels * channels + item % channels;
    float sum = 0.0f;
    for (int pixel = 0; pixel < pixels; pixel++) sum += first[pixel * channels];
    out[item] = sum / (float)pixels;
}

extern "C" __global__ void average_back(int count, int pixels, int channels, const float* __restrict__ gradient,
                                        float* __restrict__ out) {
    int item = THREAD();
    if (item < count) out[item] = gradient[item / channels / pixels * channels + item % channels] / (float)pixels;
}
