// Kernels as plain functions, each thread after the other. `launch` is all that is seen from outside. Their source lies beside this, and
// what stands in capitals in `launch` is replaced by their names.

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

static int thread_index;
#define THREAD() thread_index
#define __global__
#define __device__
#define __restrict__ __restrict
#define __align__(bytes) alignas(bytes)

static int atomicAdd(int* at, int value) { int before = *at; *at += value; return before; }
static int atomicCAS(int* at, int expected, int value) { int before = *at; if (before == expected) *at = value; return before; }

#include "source.cu"

template <class... Args, std::size_t... I>
static void each_thread(void (*kernel)(Args...), int threads, int backwards, void** args, std::index_sequence<I...>) {
    for (int turn = 0; turn < threads; turn++) {
        thread_index = backwards ? threads - 1 - turn : turn;
        kernel(*static_cast<std::remove_reference_t<Args>*>(args[I])...);
    }
}

template <class... Args>
static void run(void (*kernel)(Args...), int threads, int backwards, void** args) {
    each_thread(kernel, threads, backwards, args, std::index_sequence_for<Args...>{});
}

extern "C" int launch(const char* name, int threads, int backwards, void** args) {
#define KERNEL(kernel) if (!std::strcmp(name, #kernel)) { run(kernel, threads, backwards, args); return 0; }
    KERNELS
    return 1;
}
