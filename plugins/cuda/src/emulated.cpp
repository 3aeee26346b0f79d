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
// Memories of the host begin where eight bytes do.
#define __align__(bytes)

static int atomicAdd(int* at, int value) { int before = *at; *at += value; return before; }
static int atomicCAS(int* at, int expected, int value) { int before = *at; if (before == expected) *at = value; return before; }

#include "source.cu"

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
    KERNELS
    return 1;
}
