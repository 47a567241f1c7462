// A fixed team of threads that runs one function together, with barriers inside it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace anabranch {

class ThreadPool {
 public:
  /// One thread's view of a run.
  class Member {
   public:
    int index() const { return index_; }
    int count() const { return team_.size(); }

    /// Waits until every member has come here. Spins briefly, then yields its core: a busy
    /// neighbour on a small machine must not find us burning the time it needs to let us go on.
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
    Member(ThreadPool& team, int index) : team_(team), index_(index) {}
    ThreadPool& team_;
    int index_;
  };

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  /// Runs `work` on every member, the calling thread being member 0, and returns when all are done.
  void run(const std::function<void(Member&)>& work);

 private:
  void serve(int index);
  void close();

  std::vector<std::jthread> threads_;
  const std::function<void(Member&)>* work_ = nullptr;
  std::atomic<std::uint32_t> epoch_{0};    // a run begins
  std::atomic<bool> closing_{false};
  // Each on a cache line of its own: those who wait at a barrier read one, those who come write the other.
  alignas(64) std::atomic<int> arrived_{0};          // at the barrier
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // barriers passed
};

}  // namespace anabranch
