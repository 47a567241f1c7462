#include "backends/cpu/thread_pool.h"

#include <string>
#include <system_error>
#include <utility>

#include "error.h"

namespace anabranch {
namespace {

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Waits until `word` differs from `seen`: spins, then yields, then sleeps if it may.
void wait_for_change(const std::atomic<std::uint32_t>& word, std::uint32_t seen, bool may_sleep) {
  for (int i = 0; i < 4000; ++i) {
    if (word.load(std::memory_order_acquire) != seen) return;
    relax();
  }
  for (int i = 0; !may_sleep || i < 100; ++i) {
    if (word.load(std::memory_order_acquire) != seen) return;
    std::this_thread::yield();
  }
  while (word.load(std::memory_order_acquire) == seen) word.wait(seen, std::memory_order_acquire);
}

}  // namespace

void ThreadPool::Member::sync() {
  ThreadPool& pool = pool_;
  const std::uint32_t seen = pool.phase_.load(std::memory_order_relaxed);
  if (pool.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == pool.size()) {
    pool.arrived_.store(0, std::memory_order_relaxed);
    pool.phase_.store(seen + 1, std::memory_order_release);
    return;
  }
  wait_for_change(pool.phase_, seen, false);
}

ThreadPool::ThreadPool(int threads) {
  try {
    for (int index = 1; index < threads; ++index) {
      threads_.emplace_back([this, index] { serve(index); });
    }
  } catch (const std::system_error&) {
    close();
    throw Error(ErrorCode::kResourceExhausted,
                "the system can't start " + std::to_string(threads) + " threads");
  }
}

ThreadPool::~ThreadPool() { close(); }

void ThreadPool::close() {
  closing_.store(true);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  threads_.clear();
}

void ThreadPool::serve(int index) {
  std::uint32_t seen = 0;
  while (true) {
    wait_for_change(epoch_, seen, true);
    ++seen;
    if (closing_.load()) return;
    Member member(*this, index);
    (*work_)(member);
    member.sync();
  }
}

void ThreadPool::run(const std::function<void(Member&)>& work) {
  work_ = &work;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  Member member(*this, 0);
  work(member);
  member.sync();
}

}  // namespace anabranch
