// A fixed set of threads that run one function together, with barriers inside it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace anabranch {

class ThreadPool {
 public:
  /// One thread of a run.
  class Member {
   public:
    int index() const { return index_; }
    int count() const { return pool_.size(); }

    /// A barrier: waits until every member is here. Spins briefly, then yields the core, which
    /// another member may need on a small or busy machine.
    void sync();

    /// This member's share [first, last) of n items.
    std::pair<int, int> share(int n) const {
      const auto at = [&](int i) {
        return static_cast<int>(static_cast<long long>(n) * i / count());
      };
      return {at(index_), at(index_ + 1)};
    }

   private:
    friend class ThreadPool;
    Member(ThreadPool& pool, int index) : pool_(pool), index_(index) {}
    ThreadPool& pool_;
    int index_;
  };

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  /// Runs `work` on every member, with the calling thread as member 0. Returns when all are done.
  void run(const std::function<void(Member&)>& work);

 private:
  void serve(int index);
  void close();

  std::vector<std::jthread> threads_;
  const std::function<void(Member&)>* work_ = nullptr;
  std::atomic<std::uint32_t> epoch_{0};  // counts runs
  std::atomic<bool> closing_{false};
  // On separate cache lines: waiting members read one, arriving members write the other.
  alignas(64) std::atomic<int> arrived_{0};          // at the barrier
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // barriers passed
};

}  // namespace anabranch
