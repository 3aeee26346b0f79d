// The Haar cascade on a CUDA device, compiled when it is first used (NVRTC). The arithmetic is that of the CPU's: compiled
// without fused multiply-add, answers are the same to the last window. No kernel waits for other threads of its own
// launch, so that a plain loop over the threads gives the same; the tests run them so where there is no device.

typedef unsigned char u8;
typedef unsigned int u32;

// One scale. Integral images of all levels lie one behind the other, rows `stride` apart.
struct Level {
    int width, height;         // of the reduced image
    int step;                  // between windows
    int columns, rows;         // windows across and down
    int first_window;          // number of the level's first window among all
    int first_row;             // and of its first row of windows
    int first_sum;             // where its integral images begin
    int first_pixel_column;    // number of its first pixel column among all, and of its first tap across
    int first_pixel_row;       // of its first pixel row, and of its first tap down
    int face_width, face_height;
    float scale;
};

// A source position between two pixels: the first, the second, and the second's weight of 256.
struct Tap { int first, second, weight; };

// A node of a tree. Branches below zero are leaves: leaf number -1 - branch of all leaves.
struct Node {
    int corners[12];
    float weights[3];
    float threshold;
    int below, otherwise;
    int has_third, is_tilted;
};

struct Stage { int first_tree, trees; float threshold; };

struct Face { int x, y, width, height, count; };

// The level that holds item `index`, given each level's first item.
#define FIND_LEVEL(field)                                                                    \
    int level_index = 0;                                                                     \
    while (level_index + 1 < level_count && levels[level_index + 1].field <= index) level_index++; \
    const Level& level = levels[level_index];                                                \
    int local = index - level.field

// And where the integral images of window `index` begin.
#define FIND_WINDOW()                                                                        \
    FIND_LEVEL(first_window);                                                                \
    int at = level.first_sum + local / level.columns * level.step * stride + local % level.columns * level.step

__device__ static int corners_sum(const int* image, const int* corners) {
    return image[corners[0]] - image[corners[1]] - image[corners[2]] + image[corners[3]];
}

// A column of the reduced image, summed downwards.
extern "C" __global__ void sum_columns(int count, int level_count, const Level* __restrict__ levels, const Tap* __restrict__ across,
                                       const Tap* __restrict__ down, const u8* __restrict__ frame, int frame_stride, int stride,
                                       int* __restrict__ sums, u32* __restrict__ squares) {
    int index = THREAD();
    if (index >= count) return;
    FIND_LEVEL(first_pixel_column);
    Tap column = across[index];
    int sum = 0;
    u32 square = 0;
    for (int y = 0; y < level.height; y++) {
        Tap row = down[level.first_pixel_row + y];
        const u8* upper = frame + (long long)row.first * frame_stride;
        const u8* lower = frame + (long long)row.second * frame_stride;
        u32 a = upper[column.first] * (256 - row.weight) + lower[column.first] * row.weight;
        u32 b = upper[column.second] * (256 - row.weight) + lower[column.second] * row.weight;
        u32 pixel = (a * (256 - column.weight) + b * column.weight + (1 << 15)) >> 16;
        sum += pixel;
        square += pixel * pixel;
        int at = level.first_sum + (y + 1) * stride + local + 1;
        sums[at] = sum;
        squares[at] = square;
    }
}

// A row of the column sums, summed across. The first row and column stay zero.
extern "C" __global__ void sum_rows(int count, int level_count, const Level* levels, int stride, int* __restrict__ sums,
                                    u32* __restrict__ squares) {
    int index = THREAD();
    if (index >= count) return;
    FIND_LEVEL(first_pixel_row);
    int* row = sums + level.first_sum + (local + 1) * stride;
    u32* square_row = squares + level.first_sum + (local + 1) * stride;
    int sum = 0;
    u32 square = 0;
    for (int x = 1; x <= level.width; x++) {
        row[x] = sum += row[x];
        square_row[x] = square += square_row[x];
    }
}

// The tilted integral image, from the upright one: each row above adds its part of the triangle.
extern "C" __global__ void sum_tilted(int count, int level_count, const Level* levels, int stride, const int* sums, int* tilted) {
    int index = THREAD();
    if (index >= count) return;
    FIND_LEVEL(first_pixel_row);
    const int* upright = sums + level.first_sum;
    int bottom = local + 1;
    for (int x = 0; x <= level.width; x++) {
        int sum = 0;
        for (int y = 0; y < bottom; y++) {
            int reach = bottom - 1 - y;
            int left = x - 1 - reach < 0 ? 0 : x - 1 - reach;
            int right = x + reach > level.width ? level.width : x + reach;
            if (left >= right) continue;
            const int* upper = upright + y * stride;
            const int* lower = upper + stride;
            sum += lower[right] - lower[left] - upper[right] + upper[left];
        }
        tilted[level.first_sum + bottom * stride + x] = sum;
    }
}

struct Cascade {
    const Stage* stages;
    const int* trees;   // the first node of each
    const Node* nodes;
    const float* leaves;
};

// What a tree says at a window.
__device__ static float leaf(const Cascade& cascade, int tree, const int* sums, const int* tilted, float inverse) {
    int at = cascade.trees[tree];
    do {
        const Node& node = cascade.nodes[at];
        const int* image = node.is_tilted ? tilted : sums;
        float value = node.weights[0] * (float)corners_sum(image, node.corners)
                    + node.weights[1] * (float)corners_sum(image, node.corners + 4);
        if (node.has_third) value += node.weights[2] * (float)corners_sum(image, node.corners + 8);
        at = value * inverse < node.threshold ? node.below : node.otherwise;
    } while (at >= 0);
    return cascade.leaves[-1 - at];
}

__device__ static bool passes(const Cascade& cascade, int stage_index, const int* sums, const int* tilted, float inverse) {
    Stage stage = cascade.stages[stage_index];
    double sum = 0;
    for (int tree = stage.first_tree; tree < stage.first_tree + stage.trees; tree++) {
        sum += (double)leaf(cascade, tree, sums, tilted, inverse);
    }
    return sum >= (double)stage.threshold;
}

// The first stage at every window. `states`: 0 not asked for want of texture, 1 refused, 2 passed.
extern "C" __global__ void first_stage(int count, int level_count, const Level* levels, int stride, const int* inner, double area,
                                       const Stage* stages, const int* trees, const Node* nodes, const float* leaves,
                                       const int* sums, const u32* squares, const int* tilted, float* inverses, u8* states) {
    int index = THREAD();
    if (index >= count) return;
    FIND_WINDOW();
    double total = corners_sum(sums + at, inner);
    const u32* square = squares + at;
    u32 power = square[inner[0]] - square[inner[1]] - square[inner[2]] + square[inner[3]];
    double deviation = area * power - total * total;
    float inverse = deviation > 0 ? (float)(1.0 / sqrt(deviation)) : 1.0f;
    inverses[index] = inverse;
    Cascade cascade = {stages, trees, nodes, leaves};
    bool asked = deviation > 0 && area * (double)inverse < 0.1;
    states[index] = !asked ? 0 : passes(cascade, 0, sums + at, tilted + at, inverse) ? 2 : 1;
}

// A row of windows: each that follows one which was asked and refused is passed by; the others that passed are listed.
extern "C" __global__ void visit(int count, int level_count, const Level* levels, const u8* states, int* listed, int* length) {
    int index = THREAD();
    if (index >= count) return;
    FIND_LEVEL(first_row);
    int first = level.first_window + local * level.columns;
    for (int column = 0; column < level.columns; column++) {
        int state = states[first + column];
        if (state == 2) listed[atomicAdd(length, 1)] = first + column;
        if (state == 1) column++;
    }
}

// Trees of late stages that a thread asks about a window.
#define TREES 8

// What each tree of `tree_count` says at the first `most` of the listed windows: late stages have hundreds of trees and few
// windows are left, so that threads share a window's. `answers` are a window's trees one behind the other.
extern "C" __global__ void late_trees(int threads, int level_count, const Level* levels, int stride, int first_tree, int tree_count,
                                      int most, const int* trees, const Node* nodes, const float* leaves, const int* sums,
                                      const int* tilted, const float* inverses, const int* listed, const int* length, float* answers) {
    Cascade cascade = {0, trees, nodes, leaves};
    int windows = *length < most ? *length : most, shares = (tree_count + TREES - 1) / TREES;
    for (int item = THREAD(); item < windows * shares; item += threads) {
        int window = item / shares, index = listed[window];
        FIND_WINDOW();
        for (int tree = item % shares; tree < tree_count; tree += shares) {
            answers[window * tree_count + tree] = leaf(cascade, first_tree + tree, sums + at, tilted + at, inverses[index]);
        }
    }
}

// Stages `from` to `to` at the listed windows, of the answers that are there for the first `most`; those that pass are listed anew.
extern "C" __global__ void late_stages(int threads, int level_count, const Level* levels, int stride, int from, int to, int tree_count,
                                       int most, const float* answers, const Stage* stages, const int* trees, const Node* nodes,
                                       const float* leaves, const int* sums, const int* tilted, const float* inverses,
                                       const int* listed, const int* length, int* passed, int* passed_length) {
    Cascade cascade = {stages, trees, nodes, leaves};
    for (int item = THREAD(); item < *length; item += threads) {
        int index = listed[item], stage = from;
        if (item < most) {
            const float* answer = answers + item * tree_count;
            for (; stage < to; stage++) {
                double sum = 0;
                for (int tree = 0; tree < stages[stage].trees; tree++) sum += (double)*answer++;
                if (!(sum >= (double)stages[stage].threshold)) break;
            }
        } else {
            FIND_WINDOW();
            while (stage < to && passes(cascade, stage, sums + at, tilted + at, inverses[index])) stage++;
        }
        if (stage == to) passed[atomicAdd(passed_length, 1)] = index;
    }
}

// Stages `from` to `to` at the listed windows; those that pass are listed anew.
extern "C" __global__ void later_stages(int threads, int level_count, const Level* levels, int stride, int from, int to,
                                        const Stage* stages, const int* trees, const Node* nodes, const float* leaves,
                                        const int* sums, const int* tilted, const float* inverses,
                                        const int* listed, const int* length, int* passed, int* passed_length) {
    Cascade cascade = {stages, trees, nodes, leaves};
    for (int item = THREAD(); item < *length; item += threads) {
        int index = listed[item];
        FIND_WINDOW();
        int stage = from;
        while (stage < to && passes(cascade, stage, sums + at, tilted + at, inverses[index])) stage++;
        if (stage == to) passed[atomicAdd(passed_length, 1)] = index;
    }
}

__device__ static int nearest(float value) { return (int)rintf(value); }

// The windows that passed, in frame pixels, each a group of its own. `most` is the room there is.
extern "C" __global__ void place(int threads, int level_count, const Level* levels, const int* listed, const int* length, int most,
                                 Face* windows, int* parents, Face* sums) {
    int count = *length < most ? *length : most;
    for (int item = THREAD(); item < count; item += threads) {
        int index = listed[item];
        FIND_LEVEL(first_window);
        int column = local % level.columns * level.step, row = local / level.columns * level.step;
        Face window = {nearest((float)column * level.scale), nearest((float)row * level.scale), level.face_width, level.face_height, 1};
        Face nothing = {0, 0, 0, 0, 0};
        windows[item] = window;
        parents[item] = item;
        sums[item] = nothing;
    }
}

__device__ static bool near(int a, int b, double most) { return (double)(a > b ? a - b : b - a) <= most; }

__device__ static bool alike(const Face& a, const Face& b) {
    int sides = (a.width < b.width ? a.width : b.width) + (a.height < b.height ? a.height : b.height);
    double most = 0.2 * (double)sides * 0.5;
    return near(a.x, b.x, most) && near(a.y, b.y, most) && near(a.x + a.width, b.x + b.width, most)
        && near(a.y + a.height, b.y + b.height, most);
}

// Parents only ever get smaller, so that a walk ends whatever other threads do meanwhile.
__device__ static int root_of(const int* parents, int item) {
    const volatile int* now = parents;
    while (now[item] != item) item = now[item];
    return item;
}

// Joins each window with those before it that are alike, a pair of windows at a time (a lock-free union-find: Jaiganesh and
// Burtscher 2018).
extern "C" __global__ void unite(int threads, const int* length, int most, const Face* windows, int* parents) {
    long long count = *length < most ? *length : most;
    for (long long pair = THREAD(); pair < count * count; pair += threads) {
        int item = (int)(pair / count), other = (int)(pair % count);
        if (other >= item || !alike(windows[item], windows[other])) continue;
        int a = root_of(parents, item), b = root_of(parents, other);
        while (a != b) {
            if (a < b) { int swap = a; a = b; b = swap; }
            int found = atomicCAS(&parents[a], a, b);
            if (found == a) break;
            a = root_of(parents, found);
            b = root_of(parents, b);
        }
    }
}

extern "C" __global__ void add_up(int threads, const int* length, int most, const Face* windows, const int* parents, Face* sums) {
    int count = *length < most ? *length : most;
    for (int item = THREAD(); item < count; item += threads) {
        Face* sum = &sums[root_of(parents, item)];
        atomicAdd(&sum->x, windows[item].x);
        atomicAdd(&sum->y, windows[item].y);
        atomicAdd(&sum->width, windows[item].width);
        atomicAdd(&sum->height, windows[item].height);
        atomicAdd(&sum->count, 1);
    }
}

__device__ static Face mean(const Face& sum) {
    float share = 1.0f / (float)sum.count;
    Face face = {nearest((float)sum.x * share), nearest((float)sum.y * share), nearest((float)sum.width * share),
                 nearest((float)sum.height * share), sum.count};
    return face;
}

__device__ static bool lies_in(const Face& inner, const Face& outer) {
    int dx = (int)rint((double)outer.width * 0.2), dy = (int)rint((double)outer.height * 0.2);
    return inner.x >= outer.x - dx && inner.y >= outer.y - dy && inner.x + inner.width <= outer.x + outer.width + dx
        && inner.y + inner.height <= outer.y + outer.height + dy;
}

// The groups that are large enough and lie in no stronger one.
extern "C" __global__ void answer(int threads, const int* length, int most, int min_neighbors, const Face* sums, Face* faces,
                                  int* face_count) {
    int count = *length < most ? *length : most;
    for (int item = THREAD(); item < count; item += threads) {
        if (sums[item].count <= min_neighbors) continue;
        Face face = mean(sums[item]);
        bool stands = true;
        for (int other = 0; other < count && stands; other++) {
            if (other == item || sums[other].count <= min_neighbors) continue;
            int stronger = sums[other].count;
            if ((stronger > (face.count > 3 ? face.count : 3) || face.count < 3) && lies_in(face, mean(sums[other]))) stands = false;
        }
        if (stands) faces[atomicAdd(face_count, 1)] = face;
    }
}
