#include "backends/cpu/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "backends/cpu/buffer.h"
#include "backends/cpu/thread_pool.h"

namespace anabranch {

double read_bandwidth(int threads, std::uint64_t bytes, int passes) {
  constexpr size_t kLine = 64, kChunk = 1 << 20, kAhead = 8192;
  const int chunks = static_cast<int>(bytes / kChunk);
  Buffer buffer(static_cast<size_t>(chunks) * kChunk);
  ThreadPool pool(threads);
  pool.run([&](ThreadPool::Member& member) {
    const auto [first, last] = member.share(chunks);
    if (first < last) std::memset(buffer.data() + first * kChunk, 1, (last - first) * kChunk);
  });
  std::atomic<std::uint64_t> sink{0};  // so that the reads are not optimised away
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto began = std::chrono::steady_clock::now();
    pool.run([&](ThreadPool::Member& member) {
      const auto [first, last] = member.share(chunks);
      std::uint64_t sums[8] = {};
      for (size_t at = first * kChunk; at < last * kChunk; at += kLine) {
        __builtin_prefetch(buffer.data() + at + kAhead);  // as the matrix products do
        std::uint64_t line[8];
        std::memcpy(line, buffer.data() + at, kLine);
        for (int i = 0; i < 8; ++i) sums[i] += line[i];
      }
      for (std::uint64_t sum : sums) sink += sum;
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    best = std::max(best, static_cast<double>(buffer.size()) / took.count());
  }
  return best;
}

}  // namespace anabranch
