// One engine under random requests.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <future>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fuzz/dice.h"
#include "fuzz/model_files.h"
#include "serving/engine.h"

namespace anabranch {

/// Submits, cancels and scores. All calls but the first happen on the engine thread between two
/// steps, so that a seed always gives the same run. Checks the engine's events against the
/// requests.
/// What came of outlines.
struct OutlineCounts {
  int stages = 0, accepted = 0, dropped = 0;

  void operator+=(const OutlineCounts& other) {
    stages += other.stages;
    accepted += other.accepted;
    dropped += other.dropped;
  }
};

class EngineSession {
 public:
  EngineSession(const EngineOptions& options, const ModelShape& shape, int requests, Dice& dice);

  /// Reads an adapter for some of the requests. Throws Error as the engine does.
  void load_adapter(const std::string& path);

  /// Runs until all requests have finished. Returns what went wrong, or an empty string.
  std::string run();
  const OutlineCounts& outlines() const { return outlines_; }

 private:
  /// One request and what was emitted for it.
  struct Transcript {
    RequestSpec spec;
    /// The first request of this answer, if this one continues it from its log; 0: none.
    /// kUnknownAnswer: the log was broken.
    std::uint32_t first = 0;
    bool started = false;
    int tokens = 0, open_branches = 0, visible = 0;
    std::map<std::uint32_t, int> hidden;      // tokens by lane, less those released
    std::map<std::uint32_t, int> visible_of;  // by lane
    std::map<int, LoggedLane> lanes;
  };
  using LaneTokens = std::map<int, std::vector<int>>;
  OutlineCounts outlines_;
  static constexpr std::uint32_t kUnknownAnswer = std::numeric_limits<std::uint32_t>::max();

  void fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  void on_fault(const std::string& message);
  ServedAdapterPtr random_adapter();
  void submit();
  void break_log(Transcript& transcript);
  void make_calls();
  void on_events(const std::vector<std::uint32_t>& words);
  void check_event(EventKind kind, std::span<const std::uint32_t> words, Transcript& transcript);

  void check_finished(const std::uint32_t* words, Transcript& transcript);
  void compare_with_first_run(const Transcript& transcript, FinishReason reason);

  const ModelShape shape_;
  Dice& dice_;
  const bool whole_steps_;  // a batch holds all openings of a fork
  std::mutex mutex_;
  std::condition_variable done_;
  int left_;  // requests still to be submitted
  std::uint32_t next_id_ = 1;
  std::map<std::uint32_t, Transcript> live_;
  std::map<std::uint32_t, LaneTokens> answers_;  // by first request
  std::vector<std::future<Score>> scores_;
  std::vector<ServedAdapterPtr> adapters_;
  std::string wrong_;
  bool faulted_ = false;
  std::unique_ptr<Engine> engine_;
};

}  // namespace anabranch
