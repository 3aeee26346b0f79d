// What a CycleGAN's step on a CUDA device does besides its networks' layers (native/layers.cu): what goes from one network to another, the
// losses' gradients, and Adam. Faces are sides x groups x faces x pixels; side s translates class s. Of a generator's groups the first are
// faces of its own class, the second, if there are any, faces of the other, which it is to leave as they are.

// The first group of each side; with `crossed` that of the other side.
extern "C" __global__ void pick(int count, int size, int stride, int crossed, const float* __restrict__ x, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int side = item / size, of = crossed ? 1 - side : side;
    out[item] = x[of * stride + item % size];
}

// The structural similarity of faces that came back with what they were, at each place of its window (ssim.rs), and how it changes with
// the mean, the mean square and the mean product there: count x 3. Side s brings back what the other side began with.
extern "C" __global__ void compare(int count, int maps, int height, int width, int window, int stride, double c1, double c2,
                                   const float* __restrict__ weights, const float* __restrict__ real, const float* __restrict__ returned,
                                   float* __restrict__ similarity, float* __restrict__ slopes) {
    int item = THREAD();
    if (item >= count) return;
    int across = width - window + 1, places = across * (height - window + 1);
    int place = item % places, map = item / places, at = place / across * width + place % across;
    const float* x = real + (1 - map / maps) * stride + map % maps * height * width + at;
    const float* y = returned + map * height * width + at;
    float mean_x = 0.0f, mean_y = 0.0f, squares = 0.0f, product = 0.0f;
    for (int line = 0; line < window; line++) {
        for (int pixel = 0; pixel < window; pixel++) {
            float weight = weights[line] * weights[pixel], a = x[line * width + pixel], b = y[line * width + pixel];
            mean_x += weight * a;
            mean_y += weight * b;
            squares += weight * (a * a + b * b);
            product += weight * (a * b);
        }
    }
    float of_means = mean_x * mean_y, squared_means = mean_x * mean_x + mean_y * mean_y, stable1 = (float)c1, stable2 = (float)c2;
    float like = 2.0f * of_means + stable1, alike = 2.0f * (product - of_means) + stable2;
    float bright = squared_means + stable1, varied = squares - squared_means + stable2, bound = bright * varied;
    float index = like * alike / bound;
    similarity[item] = index;
    slopes[item * 3] = 2.0f * mean_x * (alike - like) / bound + index * 2.0f * mean_y * (1.0f / varied - 1.0f / bright);
    slopes[item * 3 + 1] = -index / varied;
    slopes[item * 3 + 2] = 2.0f * like / bound;
}

__device__ static float sign(float value) { return value > 0.0f ? 1.0f : value < 0.0f ? -1.0f : 0.0f; }

// The gradient of the cycle loss: by how much each term counts at a pixel (l1, l2) or place (similar).
extern "C" __global__ void cycle_back(int count, int maps, int height, int width, int window, int stride, double l1, double l2,
                                      double similar, const float* __restrict__ weights, const float* __restrict__ real,
                                      const float* __restrict__ returned, const float* __restrict__ slopes, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int pixels = height * width, pixel = item % pixels, map = item / pixels, line = pixel / width, column = pixel % width;
    float x = real[(1 - map / maps) * stride + map % maps * pixels + pixel], y = returned[item];
    float gradient = (float)l1 * sign(y - x) + (float)l2 * 2.0f * (y - x);
    if (similar != 0.0) {
        int down = height - window + 1, across = width - window + 1;
        float sum = 0.0f;
        for (int top = line - window + 1 > 0 ? line - window + 1 : 0; top <= line && top < down; top++) {
            for (int left = column - window + 1 > 0 ? column - window + 1 : 0; left <= column && left < across; left++) {
                const float* slope = slopes + ((map * down + top) * across + left) * 3;
                sum += weights[line - top] * weights[column - left] * (slope[0] + 2.0f * y * slope[1] + x * slope[2]);
            }
        }
        gradient += (float)similar * sum;
    }
    out[item] = gradient;
}

// The gradient of generated faces: of the first group what the discriminator and the way back (on the other side) say, of the second
// what was changed of a face.
extern "C" __global__ void generated_back(int count, int size, int groups, double identity, const float* __restrict__ judged,
                                          const float* __restrict__ back, const float* __restrict__ given,
                                          const float* __restrict__ generated, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    int at = item % size, group = item / size % groups, side = item / size / groups;
    out[item] = group == 0 ? judged[side * size + at] + back[(1 - side) * size + at]
                           : (float)identity * sign(generated[item] - given[item]);
}

// The gradient of verdicts, each `size` of which are to be the first value, then the second, and so on in turn.
extern "C" __global__ void verdicts_back(int count, int size, int groups, double factor, double first, double second,
                                         const float* __restrict__ verdicts, float* __restrict__ out) {
    int item = THREAD();
    if (item >= count) return;
    float wanted = (float)(item / size % groups == 0 ? first : second);
    out[item] = (float)factor * (verdicts[item] - wanted);
}

// Adam (Kingma & Ba 2015), as burn-optim 0.21 has it.
extern "C" __global__ void adam(int count, double rate, double beta1, double beta2, double epsilon, double factor,
                                const float* __restrict__ gradient, float* __restrict__ weights, float* __restrict__ mean,
                                float* __restrict__ square) {
    int item = THREAD();
    if (item >= count) return;
    float slope = gradient[item];
    float of_mean = mean[item] * (float)beta1 + slope * (1.0f - (float)beta1);
    float of_square = square[item] * (float)beta2 + slope * slope * (1.0f - (float)beta2);
    mean[item] = of_mean;
    square[item] = of_square;
    weights[item] -= of_mean * (float)factor / (sqrtf(of_square) + (float)epsilon) * (float)rate;
}
