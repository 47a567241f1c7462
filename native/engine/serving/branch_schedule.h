// Which lanes of an answer decode in a step. Whatever is decided, the answer is the same.
//
// Every answer has a lane that always decodes: its first live branch in document order, which an
// ordered stream reads. Declared branches are one answer. Further lanes decode with it, wait, or
// decode within the slack that a limit on the time per token leaves, after PACE (arXiv:2605.06914).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "serving/request.h"
#include "serving/step_time.h"

namespace anabranch {

struct BranchScheduleOptions {
  /// kEager: all live lanes. kCap: at most `cap` lanes of an answer. kSlack: as many as the limits
  /// of the step's requests leave time for.
  enum class Mode { kEager, kCap, kSlack } mode = Mode::kEager;
  int cap = 1;
  double max_time_per_token = 0;  // seconds, for requests without a limit of their own; 0: none
};

/// Of "eager", "off" (one lane of an answer), "cap:N" or "slack"; empty is "eager". Throws Error
/// for another text.
BranchScheduleOptions branch_schedule_of(const std::string& text);

/// The longest step, in seconds, in which `lanes` lanes of an answer may decode under its limit:
/// as long as their tokens may take, longer where the answer is ahead of its limit and shorter
/// where it misses it so far.
double longest_step(double limit, int lanes, const Request::Progress& so_far);

class BranchSchedule {
 public:
  explicit BranchSchedule(const BranchScheduleOptions& options) : options_(options) {}

  struct Selection {
    std::vector<std::shared_ptr<Request>> requests;  // that decode, in the order given
    StepWork work;
    double longest = 0;  // seconds that the step may take with prefill
  };
  /// Selects among the lanes of `requests`, in the order in which they are to be served, that have
  /// nothing to prefill; sets Lane::held of the others. The selected lanes need at most `room`
  /// rows, or one request needs more than `max_rows` and is alone. `prefill` are tokens to be
  /// prefilled besides, in steps of at most `max_prefill`.
  Selection select(const std::vector<std::shared_ptr<Request>>& requests, int max_rows, int prefill,
                   int max_prefill, const StepTimeModel& model);

  /// Whether `request` may start beside `running`. Under the engine's own limit in slack mode it
  /// waits while first lanes alone, its own included, would miss it. A request's limit keeps nobody
  /// waiting: others would pay for what one client asks.
  bool admits(const Request& request, const std::vector<std::shared_ptr<Request>>& running,
              const StepTimeModel& model) const;

  /// Lanes that were held back, summed over steps.
  std::uint64_t held_lanes() const { return held_lanes_; }

 private:
  /// A lane, or all lanes of a request that steps as a whole.
  struct Candidate {
    std::shared_ptr<Request> request;
    int lane = 0;        // by which it is known
    bool whole = false;  // stands for the request
    int rows = 0;
    double kv_tokens = 0;
    bool leads = false;  // its answer
    bool selected = false;
  };
  std::vector<Candidate> candidates_of(const std::vector<std::shared_ptr<Request>>& requests) const;
  void add_candidates(const std::shared_ptr<Request>& request, bool leads,
                      std::vector<Candidate>& out) const;
  double limit_of(const Request& request) const;
  double allowed_seconds(const Request& request, int lanes) const;

  /// What the limits of a step's requests leave time for.
  class Bounds;

  BranchScheduleOptions options_;
  std::chrono::steady_clock::time_point now_;  // of the step
  std::uint64_t steps_ = 0;
  std::uint64_t held_lanes_ = 0;
};

}  // namespace anabranch
