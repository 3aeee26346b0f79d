// The kernels of haar.cu as plain functions, each thread after the other: what the tests run where there is no device.
// `launch` is all that is seen from outside.

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

static int thread_index;
#define THREAD() thread_index
#define __global__
#define __device__
#define __restrict__ __restrict

static int atomicAdd(int* at, int value) { int before = *at; *at += value; return before; }
static int atomicCAS(int* at, int expected, int value) { int before = *at; if (before == expected) *at = value; return before; }

#include "haar.cu"

template <class... Args, std::size_t... I>
static void each_thread(void (*kernel)(Args...), int threads, void** args, std::index_sequence<I...>) {
    for (thread_index = 0; thread_index < threads; thread_index++) kernel(*static_cast<std::remove_reference_t<Args>*>(args[I])...);
}

template <class... Args>
static void run(void (*kernel)(Args...), int threads, void** args) {
    each_thread(kernel, threads, args, std::index_sequence_for<Args...>{});
}

extern "C" int launch(const char* name, int threads, void** args) {
#define KERNEL(kernel) if (!std::strcmp(name, #kernel)) { run(kernel, threads, args); return 0; }
    KERNEL(sum_columns) KERNEL(sum_rows) KERNEL(sum_tilted) KERNEL(first_stage) KERNEL(visit) KERNEL(later_stages)
    KERNEL(late_trees) KERNEL(late_stages)    KERNEL(place) KERNEL(unite) KERNEL(add_up) KERNEL(answer)
    return 1;
}
