// Measured step times, and what follows from them. They decide when rows are computed, never what.
#pragma once

#include <algorithm>
#include <chrono>

namespace anabranch {

class StepTimeEstimator {
 public:
  using Clock = std::chrono::steady_clock;

  /// The prefill rows, at most `limit`, that a step with decode rows may have: the step takes at
  /// most kMaxStretch times as long as without them.
  int max_prefill_rows_with_decode(int limit) const {
    if (decode_seconds_ == 0 || row_seconds_ == 0) return std::min(limit, kUnmeasuredRows);
    const double rows = (kMaxStretch - 1) * decode_seconds_ / row_seconds_;
    return rows >= limit ? limit : std::clamp(static_cast<int>(rows), 1, limit);
  }

  void record_step(int decode_rows, int prefill_rows, double seconds) {
    if (prefill_rows == 0)
      blend(decode_seconds_, seconds);
    else if (decode_rows == 0)
      blend(row_seconds_, seconds / prefill_rows);
    else if (decode_seconds_ > 0) {
      // A decode step reads the weights anyway, so prefill rows add less than they cost alone.
      blend(row_seconds_, std::max(seconds - decode_seconds_, 0.0) / prefill_rows);
    }
  }

  /// A request finished and `left` are still running or waiting.
  void record_finish(Clock::time_point now, int left) {
    if (busy_) {
      blend(finish_seconds_, std::chrono::duration<double>(now - last_finish_).count());
    }
    last_finish_ = now;
    busy_ = left > 0;
  }

  /// Estimated wait for the last of `queued` requests.
  double queue_wait_seconds(int queued) const { return queued * finish_seconds_; }

 private:
  static constexpr double kMaxStretch = 2.5;
  static constexpr int kUnmeasuredRows = 8;  // before anything is measured

  /// Exponential moving average; 0 means that nothing is measured yet.
  static void blend(double& mean, double value) {
    mean = mean == 0 ? value : mean + 0.2 * (value - mean);
  }

  double decode_seconds_ = 0;  // of a step without prefill rows
  double row_seconds_ = 0;     // of one prefill row
  double finish_seconds_ = 0;  // between two finished requests, while busy
  Clock::time_point last_finish_;
  bool busy_ = false;
};

}  // namespace anabranch
