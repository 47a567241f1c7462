// Enough of CUDA to run this folder's kernels on the CPU: a block's threads are fibers of one system
// thread, blocks run one after another, and memory of the device is memory. Nothing here is fast, and
// nothing here is part of what is served: it checks the kernels' logic where there is no device.
//
// Copies in the background arrive when a thread awaits them and no sooner. Between barriers threads run in
// an order that changes from turn to turn, and blocks in one that changes from launch to launch, so that
// what depends on an order that CUDA doesn't promise shows as a wrong result.
//
// Threads of a block must all come to the same barriers, and all lanes of a warp to the same exchanges,
// as CUDA asks for too.
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

/// A fiber is entered through its context once, and left and found again by jumps, which ask nothing of
/// the system.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  dim3 thread;
  bool begun = false, done = false;
  struct Copy {
    void* to;
    const void* from;
    unsigned group;
  };
  std::deque<Copy> copies;  // under way
  unsigned group = 0;       // of the next one
};

/// A barrier of some fibers: all come, then all go on.
struct Barrier {
  int size = 0, arrived = 0;
  unsigned passed = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  Barrier all;
  std::vector<Barrier> warps;
  std::vector<std::uint32_t> exchange;  // [threads, 8]
  ucontext_t entry;
  jmp_buf back;
  size_t current = 0;
  dim3 index, size, grid;
  std::vector<char> shared;
  const std::function<void()>* work = nullptr;
};

inline Block* block = nullptr;

/// Ends the program, as a device would: a launch that none takes, or an address that none loads from.
inline void demand(bool met, const char* what) {
  if (met) return;
  std::fprintf(stderr, "emulated kernel: %s\n", what);
  std::abort();
}

/// 0 … n - 1 in an order that differs from walk to walk, the same ones in every run of a program.
class Walk {
 public:
  explicit Walk(size_t n) : n_(n), at_(draw() % n), step_(draw() % n | 1) {
    while (std::gcd(step_, n_) != 1) step_ += 2;
  }
  size_t next() { return at_ = (at_ + step_) % n_; }

 private:
  static size_t draw() {
    static std::uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33);
  }
  size_t n_, at_, step_;
};

inline void yield() {
  Fiber& mine = block->fibers[block->current];
  if (_setjmp(mine.place) == 0) _longjmp(block->back, 1);
}

inline void meet(Barrier& barrier) {
  const unsigned seen = barrier.passed;
  if (++barrier.arrived == barrier.size) {
    barrier.arrived = 0;
    ++barrier.passed;
    return;
  }
  while (barrier.passed == seen) yield();
}

inline size_t lane() { return block->current % 32; }
inline Barrier& warp() { return block->warps[block->current / 32]; }
inline std::uint32_t* slot(size_t of_lane) {
  return block->exchange.data() + (block->current / 32 * 32 + of_lane) * 8;
}

/// Every lane shows 32-bit words to its warp; `take` reads them all at once.
template <class Take>
void exchange(std::initializer_list<std::uint32_t> words, Take take) {
  std::uint32_t* mine = slot(lane());
  for (std::uint32_t word : words) *mine++ = word;
  meet(warp());
  take();
  meet(warp());
}

inline float widened(std::uint32_t pair, int which) {
  const std::uint32_t bits = which ? pair & 0xffff0000u : pair << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

inline void multiply(float (&d)[4], std::initializer_list<std::uint32_t> a,
                     std::initializer_list<std::uint32_t> b) {
  const std::uint32_t* av = a.begin();
  const std::uint32_t* bv = b.begin();
  exchange({av[0], av[1], av[2], av[3], bv[0], bv[1]}, [&] {
    const size_t g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; ++i) {
      const size_t row = g + (i / 2) * 8, column = 2 * t + i % 2;
      float sum = d[i];
      for (size_t k = 0; k < 16; ++k) {
        const std::uint32_t left = slot(row % 8 * 4 + k % 8 / 2)[row / 8 + k / 8 * 2];
        const std::uint32_t right = slot(column * 4 + k % 8 / 2)[4 + k / 8];
        sum += widened(left, k % 2) * widened(right, k % 2);
      }
      d[i] = sum;
    }
  });
}

/// Until all but the last `open` groups of this thread's copies are there.
inline void await_copies(unsigned open) {
  Fiber& mine = block->fibers[block->current];
  while (!mine.copies.empty() && mine.copies.front().group + open < mine.group) {
    std::memcpy(mine.copies.front().to, mine.copies.front().from, 16);
    mine.copies.pop_front();
  }
}

inline void start() {
  (*block->work)();
  Fiber& mine = block->fibers[block->current];
  demand(mine.copies.empty(), "a thread ends with copies under way");
  mine.done = true;
  yield();
}

/// Runs fiber `i` until it yields.
inline void enter(Block& here, size_t i) {
  Fiber& fiber = here.fibers[i];
  here.current = i;
  if (_setjmp(here.back) != 0) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  swapcontext(&here.entry, &fiber.context);
}

/// Number `i` of a grid of blocks, or of a block of threads.
inline dim3 place_of(size_t i, dim3 all) {
  return dim3(static_cast<unsigned>(i % all.x), static_cast<unsigned>(i / all.x % all.y),
              static_cast<unsigned>(i / all.x / all.y));
}

inline void run(dim3 grid, dim3 size, size_t shared, const std::function<void()>& work) {
  Block here;
  const size_t threads = size_t{size.x} * size.y * size.z;
  demand(threads > 0 && threads <= 1024 && size.z <= 64, "a block of 1 to 1024 threads is asked for");
  demand(grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x < 1u << 31 && grid.y < 1u << 16 && grid.z < 1u << 16,
         "a grid is empty or too large");
  demand(shared <= size_t{99} << 10, "more shared memory is asked for than every device has");
  here.fibers.resize(threads);
  static std::vector<std::unique_ptr<char[]>> stacks;  // kept for the next run
  while (stacks.size() < threads) stacks.emplace_back(new char[kStack]);
  here.warps.resize((threads + 31) / 32);
  here.exchange.resize((threads + 31) / 32 * 32 * 8);
  here.shared.resize(shared + 64);
  here.size = size;
  here.grid = grid;
  here.work = &work;
  block = &here;
  Walk blocks(size_t{grid.x} * grid.y * grid.z);
  for (size_t turn = 0; turn < size_t{grid.x} * grid.y * grid.z; ++turn) {
    here.index = place_of(blocks.next(), grid);
    std::fill(here.shared.begin(), here.shared.end(), '\xff');  // NaN, however it is read
    here.all = {static_cast<int>(threads), 0, 0};
    for (size_t w = 0; w < here.warps.size(); ++w) {
      here.warps[w] = {static_cast<int>(std::min<size_t>(32, threads - w * 32)), 0, 0};
    }
    for (size_t i = 0; i < threads; ++i) {
      Fiber& fiber = here.fibers[i];
      fiber.begun = fiber.done = false;
      fiber.group = 0;
      fiber.thread = place_of(i, size);
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = stacks[i].get();
      fiber.context.uc_stack.ss_size = kStack;
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, start, 0);
    }
    for (size_t left = threads; left > 0;) {
      Walk order(threads);
      for (size_t i = 0; i < threads; ++i) {
        const size_t next = order.next();
        if (here.fibers[next].done) continue;
        enter(here, next);
        left -= here.fibers[next].done;
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

#define threadIdx (anabranch::emulate::block->fibers[anabranch::emulate::block->current].thread)
#define blockIdx (anabranch::emulate::block->index)
#define blockDim (anabranch::emulate::block->size)
#define gridDim (anabranch::emulate::block->grid)

inline void __syncwarp() { anabranch::emulate::meet(anabranch::emulate::warp()); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

inline void __syncthreads() { anabranch::emulate::meet(anabranch::emulate::block->all); }

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
  e::exchange({bits[0], bits[1]},
              [&] { std::memcpy(&out, e::slot(e::lane() ^ static_cast<size_t>(with)), sizeof(T)); });
  return out;
}

// ---- the runtime's calls that the backend makes --------------------------------------------------

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
