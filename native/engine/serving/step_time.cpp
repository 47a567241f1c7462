#include "serving/step_time.h"

#include <algorithm>

namespace anabranch {
namespace {

constexpr double kMinStretch = 1.5, kMaxStretch = 2.5;
constexpr int kUnmeasuredRows = 8;  // of prefill, before any is measured
/// What a step still counts one step later: about fifty steps decide.
constexpr double kMemory = 0.98;
constexpr int kSweeps = 8;  // over the coefficients, which start at their last values
/// Steps, and the variance of their rows, that say what a row costs.
constexpr double kMinSteps = 4, kMinVariance = 0.05;
constexpr double kKvUnit = 1000;  // tokens, so that all terms are of one order

}  // namespace

StepTimeModel::Terms StepTimeModel::terms_of(const StepWork& work) {
  return {1, static_cast<double>(work.decode_rows), static_cast<double>(work.prefill_rows),
          work.kv_tokens / kKvUnit};
}

double StepTimeModel::row_seconds() const {
  if (knows_rows_) return coefficients_[1];
  return std::max(coefficients_[1], step_seconds_ / rows_);
}

double StepTimeModel::seconds(const StepWork& work) const {
  if (steps_ == 0) return 0;
  Terms terms = terms_of(work);
  double fixed = coefficients_[0];
  if (!knows_rows_) {
    // The rows beyond those of the steps that were seen.
    fixed += coefficients_[1] * rows_ / steps_;
    terms[1] = std::max(0.0, terms[1] - rows_ / steps_);
  }
  return fixed + row_seconds() * terms[1] + coefficients_[2] * terms[2] +
         coefficients_[3] * terms[3];
}

StepCosts StepTimeModel::costs() const {
  if (steps_ == 0) return {};
  return {coefficients_[0], coefficients_[1], coefficients_[2], coefficients_[3] / kKvUnit};
}

void StepTimeModel::record(const StepWork& work, double seconds) {
  if (seconds <= 0) return;
  const Terms terms = terms_of(work);
  for (int i = 0; i < kTerms; ++i) {
    targets_[i] = kMemory * targets_[i] + terms[i] / seconds;
    for (int j = 0; j < kTerms; ++j) {
      products_[i][j] = kMemory * products_[i][j] + terms[i] * terms[j] / (seconds * seconds);
    }
  }
  // Projected Gauss-Seidel on the normal equations. A term that no recent step had keeps its
  // coefficient.
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (int i = 0; i < kTerms; ++i) {
      if (products_[i][i] * seconds * seconds < 1e-6) continue;
      double rest = targets_[i];
      for (int j = 0; j < kTerms; ++j) {
        if (j != i) rest -= products_[i][j] * coefficients_[j];
      }
      coefficients_[i] = std::max(0.0, rest / products_[i][i]);
    }
  }
  if (work.decode_rows == 0 || work.prefill_rows > 0) return;
  steps_ = kMemory * steps_ + 1;
  rows_ = kMemory * rows_ + work.decode_rows;
  squared_rows_ = kMemory * squared_rows_ + 1.0 * work.decode_rows * work.decode_rows;
  step_seconds_ = kMemory * step_seconds_ + seconds;
  const double mean = rows_ / steps_;
  if (steps_ >= kMinSteps && squared_rows_ / steps_ - mean * mean >= kMinVariance) {
    knows_rows_ = true;
  }
}

int StepTimeModel::max_prefill_rows(StepWork decode, int limit, double longest) const {
  decode.prefill_rows = 0;
  const double alone = seconds(decode);
  if (alone == 0 || coefficients_[2] == 0) return std::min(limit, kUnmeasuredRows);
  longest = std::clamp(longest, kMinStretch * alone, kMaxStretch * alone);
  const double rows = (longest - alone) / coefficients_[2];
  return rows >= limit ? limit : std::clamp(static_cast<int>(rows), 1, limit);
}

void QueueWait::record_finish(Clock::time_point now, int left) {
  if (busy_) {
    const double seconds = std::chrono::duration<double>(now - last_finish_).count();
    between_finishes_ += (between_finishes_ == 0 ? 1 : 0.2) * (seconds - between_finishes_);
  }
  last_finish_ = now;
  busy_ = left > 0;
}

}  // namespace anabranch
