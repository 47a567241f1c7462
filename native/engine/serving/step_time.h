// How long things take, as measured while serving. Decides when rows are computed, never what.
#pragma once

#include <algorithm>
#include <chrono>

namespace anabranch {

class StepTimeEstimator {
 public:
  using Clock = std::chrono::steady_clock;

  /// Prefill rows beside decode rows, so that the step takes at most kStretch times what it would
  /// without them.
  int prefill_rows_beside_decoding(int most) const {
    if (decode_seconds_ == 0 || row_seconds_ == 0) return std::min(most, kUnknownRows);
    const double rows = (kStretch - 1) * decode_seconds_ / row_seconds_;
    return rows >= most ? most : std::clamp(static_cast<int>(rows), 1, most);
  }

  void stepped(int decode_rows, int prefill_rows, double seconds) {
    if (prefill_rows == 0) blend(decode_seconds_, seconds);
    else if (decode_rows == 0) blend(row_seconds_, seconds / prefill_rows);
    else if (decode_seconds_ > 0) {
      // Beside decoding the weights are read anyway: what the rows add is less than they cost alone.
      blend(row_seconds_, std::max(seconds - decode_seconds_, 0.0) / prefill_rows);
    }
  }

  /// One request ended, with `left` still being served or waiting.
  void finished(Clock::time_point now, int left) {
    if (busy_) {
      blend(finish_seconds_, std::chrono::duration<double>(now - last_finish_).count());
    }
    last_finish_ = now;
    busy_ = left > 0;
  }

  /// Estimate of the wait behind `queued` requests.
  double wait_seconds(int queued) const { return queued * finish_seconds_; }

 private:
  static constexpr double kStretch = 2.5;
  static constexpr int kUnknownRows = 8;  // before anything was measured

  static void blend(double& mean, double value) {
    mean = mean == 0 ? value : mean + 0.2 * (value - mean);
  }

  double decode_seconds_ = 0;  // of a step without prefill rows
  double row_seconds_ = 0;     // of one prefill row
  double finish_seconds_ = 0;  // between two requests' ends, while busy
  Clock::time_point last_finish_;
  bool busy_ = false;
};

}  // namespace anabranch
