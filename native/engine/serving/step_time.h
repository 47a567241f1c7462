// Measured times, and what follows from them. They decide when rows are computed, never what.
#pragma once

#include <array>
#include <chrono>

namespace anabranch {

/// What a step computes.
struct StepWork {
  int decode_rows = 0;
  int prefill_rows = 0;
  double kv_tokens = 0;  // that the decode rows read; what rows of one request share counts once
};

/// What parts of a step cost, in seconds.
struct StepCosts {
  double step = 0;  // whatever it computes
  double decode_row = 0;
  double prefill_row = 0;
  double kv_token = 0;  // that decode rows read
};

/// The time of a step as a linear function of its work, fitted while serving: least squares of the
/// relative error, so that a step that was disturbed weighs little, with coefficients that are not
/// negative. Older steps count less and less.
class StepTimeModel {
 public:
  /// Predicted seconds; 0 before a step of decode rows alone is measured. Until steps of different
  /// numbers of decode rows were seen, each row is taken to cost its share of a whole step.
  double seconds(const StepWork& work) const;
  void record(const StepWork& work, double seconds);
  /// As fitted: a part that no step had yet costs nothing. All 0 while seconds() is 0.
  StepCosts costs() const;

  /// Whether steps of different numbers of decode rows were seen.
  bool knows_rows() const { return knows_rows_; }

  /// The prefill rows, at most `limit`, that a step with these decode rows may have: it takes at
  /// most `longest` seconds, but always up to kMinStretch and never more than kMaxStretch times as
  /// long as without them.
  int max_prefill_rows(StepWork decode, int limit, double longest) const;

 private:
  static constexpr int kTerms = 4;
  using Terms = std::array<double, kTerms>;  // a step, its decode rows, prefill rows and KV tokens

  static Terms terms_of(const StepWork& work);
  double row_seconds() const;

  std::array<Terms, kTerms> products_{};  // sums over past steps, for the normal equations
  Terms targets_{};
  Terms coefficients_{};  // seconds
  bool knows_rows_ = false;
  // Weighted sums over steps with decode rows alone: 1, rows, rows², seconds.
  double steps_ = 0, rows_ = 0, squared_rows_ = 0, step_seconds_ = 0;
};

/// The wait of a queue, from the times between the ends of requests.
class QueueWait {
 public:
  using Clock = std::chrono::steady_clock;

  /// A request finished and `left` are still running or waiting.
  void record_finish(Clock::time_point now, int left);
  /// Estimated wait for the last of `queued` requests.
  double seconds(int queued) const { return queued * between_finishes_; }

 private:
  double between_finishes_ = 0;  // while busy; 0: nothing is measured yet
  Clock::time_point last_finish_;
  bool busy_ = false;
};

}  // namespace anabranch
