// Emulation of the part of CUDA that this folder uses, so that its kernels run on the CPU: the
// threads of a block are fibers of one system thread, blocks run one after another, and device
// memory is host memory. It is slow and serves no requests; it checks the kernels' logic on
// machines without a GPU.
//
// To expose wrong assumptions about order: asynchronous copies arrive when a thread waits for them,
// and no earlier; the order of threads between barriers and the order of blocks change all the
// time.
//
// As in CUDA, all threads of a block must reach the same barriers, and all lanes of a warp the same
// shuffles and mma instructions.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time
#define __restrict__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
using cudaStream_t = int;

namespace anabranch::emulate {

constexpr size_t kStack = 64 << 10;

/// Where the threads of blocks run, one after another. It is entered once, through a context, and
/// later by longjmp, which needs no system call.
struct Fiber {
  std::unique_ptr<char[]> stack = std::make_unique_for_overwrite<char[]>(kStack);
  jmp_buf resume_point;
  bool entered = false;
};

/// A thread of a block.
struct Thread {
  dim3 index;
  bool done = false;
  struct Copy {
    void* to;
    const void* from;
    unsigned group;
  };
  std::deque<Copy> copies;  // in flight
  unsigned copy_group = 0;  // of the next copy
};

/// A barrier of several fibers: none continues before all have arrived.
struct Barrier {
  int size = 0, arrived = 0;
  unsigned generation = 0;
};

struct Block {
  std::vector<Thread> threads;
  Barrier all;
  std::vector<Barrier> warps;
  std::vector<std::uint32_t> exchange;  // [threads, 8]
  jmp_buf scheduler;
  size_t current = 0;
  dim3 index, size, grid;
  std::vector<char> shared;
  const std::function<void()>* kernel = nullptr;
};

inline Block* block = nullptr;
/// By the number of their thread in its block.
inline std::vector<Fiber> fibers;

/// Aborts if a condition that a real device would enforce is not met.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "emulated kernel: %s\n", what);
  std::abort();
}

/// Enumerates 0 … n - 1 in an order that differs each time, but is the same in every run of the
/// program.
class ShuffledOrder {
 public:
  explicit ShuffledOrder(size_t n) : n_(n), at_(random() % n), step_(random() % n | 1) {
    while (std::gcd(step_, n_) != 1) step_ += 2;
  }
  size_t next() { return at_ = (at_ + step_) % n_; }

 private:
  static size_t random() {
    static std::uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33);
  }
  size_t n_, at_, step_;
};

inline void yield() {
  if (_setjmp(fibers[block->current].resume_point) == 0) _longjmp(block->scheduler, 1);
}

inline void arrive_and_wait(Barrier& barrier) {
  const unsigned generation = barrier.generation;
  if (++barrier.arrived == barrier.size) {
    barrier.arrived = 0;
    ++barrier.generation;
    return;
  }
  while (barrier.generation == generation) yield();
}

inline size_t lane() { return block->current % 32; }
inline Barrier& warp() { return block->warps[block->current / 32]; }
inline std::uint32_t* lane_words(size_t of_lane) {
  return block->exchange.data() + (block->current / 32 * 32 + of_lane) * 8;
}

/// Every lane publishes up to eight 32-bit words to its warp; then `read` may read all lanes'
/// words.
template <class Read>
void exchange(std::initializer_list<std::uint32_t> words, Read read) {
  std::uint32_t* own = lane_words(lane());
  for (std::uint32_t word : words) *own++ = word;
  arrive_and_wait(warp());
  read();
  arrive_and_wait(warp());
}

inline float widened(std::uint32_t pair, int index) {
  const std::uint32_t bits = index ? pair & 0xffff0000u : pair << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

/// d += a · b with the register layout of PTX mma.m16n8k16, bf16 in and fp32 out.
inline void mma(float (&d)[4], std::initializer_list<std::uint32_t> a,
                std::initializer_list<std::uint32_t> b) {
  const std::uint32_t* av = a.begin();
  const std::uint32_t* bv = b.begin();
  exchange({av[0], av[1], av[2], av[3], bv[0], bv[1]}, [&] {
    const size_t g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; ++i) {
      const size_t row = g + (i / 2) * 8, column = 2 * t + i % 2;
      float sum = d[i];
      for (size_t k = 0; k < 16; ++k) {
        const std::uint32_t left = lane_words(row % 8 * 4 + k % 8 / 2)[row / 8 + k / 8 * 2];
        const std::uint32_t right = lane_words(column * 4 + k % 8 / 2)[4 + k / 8];
        sum += widened(left, k % 2) * widened(right, k % 2);
      }
      d[i] = sum;
    }
  });
}

/// Performs this thread's copies except those of the last `pending` groups.
inline void cp_async_wait(unsigned pending) {
  Thread& self = block->threads[block->current];
  while (!self.copies.empty() && self.copies.front().group + pending < self.copy_group) {
    std::memcpy(self.copies.front().to, self.copies.front().from, 16);
    self.copies.pop_front();
  }
}

/// A fiber's main function: runs its thread of block after block.
inline void run_fiber() {
  for (;;) {
    (*block->kernel)();
    Thread& self = block->threads[block->current];
    require(self.copies.empty(), "a thread ends with copies in flight");
    self.done = true;
    yield();
  }
}

/// Runs thread `i` until it yields.
inline void resume(Block& here, size_t i) {
  Fiber& fiber = fibers[i];
  here.current = i;
  if (_setjmp(here.scheduler) != 0) return;
  if (std::exchange(fiber.entered, true)) _longjmp(fiber.resume_point, 1);
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.get();
  context.uc_stack.ss_size = kStack;
  context.uc_link = nullptr;
  makecontext(&context, run_fiber, 0);
  setcontext(&context);
}

/// The coordinates of block number i of a grid, or of thread number i of a block.
inline dim3 coordinates_of(size_t i, dim3 all) {
  return dim3(static_cast<unsigned>(i % all.x), static_cast<unsigned>(i / all.x % all.y),
              static_cast<unsigned>(i / all.x / all.y));
}

/// Launches a kernel and waits for its end.
inline void run(dim3 grid, dim3 size, size_t shared, const std::function<void()>& kernel) {
  Block here;
  const size_t threads = size_t{size.x} * size.y * size.z;
  require(threads > 0 && threads <= 1024 && size.z <= 64, "a block must have 1 to 1024 threads");
  require(grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x < 1u << 31 && grid.y < 1u << 16 &&
              grid.z < 1u << 16,
          "the grid is empty or too large");
  require(shared <= size_t{99} << 10, "the launch needs more shared memory than every device has");
  here.threads.resize(threads);
  if (fibers.size() < threads) fibers.resize(threads);
  here.warps.resize((threads + 31) / 32);
  here.exchange.resize((threads + 31) / 32 * 32 * 8);
  here.shared.resize(shared + 64);
  here.size = size;
  here.grid = grid;
  here.kernel = &kernel;
  block = &here;
  ShuffledOrder blocks(size_t{grid.x} * grid.y * grid.z);
  for (size_t count = 0; count < size_t{grid.x} * grid.y * grid.z; ++count) {
    here.index = coordinates_of(blocks.next(), grid);
    std::fill(here.shared.begin(), here.shared.end(), '\xff');  // NaN in every format
    here.all = {static_cast<int>(threads), 0, 0};
    for (size_t w = 0; w < here.warps.size(); ++w) {
      here.warps[w] = {static_cast<int>(std::min<size_t>(32, threads - w * 32)), 0, 0};
    }
    for (size_t i = 0; i < threads; ++i) {
      Thread& thread = here.threads[i];
      thread.done = false;
      thread.copy_group = 0;
      thread.index = coordinates_of(i, size);
    }
    for (size_t left = threads; left > 0;) {
      ShuffledOrder order(threads);
      for (size_t i = 0; i < threads; ++i) {
        const size_t next = order.next();
        if (here.threads[next].done) continue;
        resume(here, next);
        left -= here.threads[next].done;
      }
    }
  }
  block = nullptr;
}

inline void* dynamic_shared() {
  const auto at = reinterpret_cast<std::uintptr_t>(block->shared.data());
  return reinterpret_cast<void*>((at + 63) / 64 * 64);
}

}  // namespace anabranch::emulate

#define threadIdx (anabranch::emulate::block->threads[anabranch::emulate::block->current].index)
#define blockIdx (anabranch::emulate::block->index)
#define blockDim (anabranch::emulate::block->size)
#define gridDim (anabranch::emulate::block->grid)

inline void __syncwarp() { anabranch::emulate::arrive_and_wait(anabranch::emulate::warp()); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

inline void __syncthreads() { anabranch::emulate::arrive_and_wait(anabranch::emulate::block->all); }

template <class T>
T atomicAdd(T* at, T value) {
  const T before = *at;
  *at += value;
  return before;
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int with) {
  static_assert(sizeof(T) <= 8);
  namespace e = anabranch::emulate;
  std::uint32_t bits[2] = {};
  std::memcpy(bits, &value, sizeof(T));
  T out;
  e::exchange({bits[0], bits[1]}, [&] {
    std::memcpy(&out, e::lane_words(e::lane() ^ static_cast<size_t>(with)), sizeof(T));
  });
  return out;
}

// ---- the CUDA runtime functions that the backend calls -----------------------------------------

using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline cudaError_t cudaMalloc(void** at, size_t bytes) {
  *at = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *at ? cudaSuccess : 2;
}
inline cudaError_t cudaFree(void* at) { return std::free(at), cudaSuccess; }
inline cudaError_t cudaMallocHost(void** at, size_t bytes) { return cudaMalloc(at, bytes); }
inline cudaError_t cudaFreeHost(void* at) { return cudaFree(at); }
inline cudaError_t cudaMemset(void* at, int value, size_t bytes) {
  return std::memset(at, value, bytes), cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamCreate(cudaStream_t* stream) { return *stream = 0, cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "out of memory"; }
