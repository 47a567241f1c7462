// The model of step times, fed with steps whose times follow a known law.
#include <cmath>
#include <string>
#include <utility>

#include "check/checks.h"
#include "serving/step_time.h"

namespace anabranch {
namespace {

/// Seconds of a step on a machine that does exactly what the model assumes.
double true_seconds(const StepWork& work) {
  return 0.03 + 0.001 * work.decode_rows + 0.0004 * work.prefill_rows + 2e-7 * work.kv_tokens;
}

/// Steps with 1 to 12 decode rows, some beside prefill; every 17th takes `disturbance` times as
/// long.
StepTimeModel fitted(int steps, double disturbance) {
  StepTimeModel model;
  for (int i = 0; i < steps; ++i) {
    const StepWork work{1 + i * 7 % 12, i % 3 == 0 ? 16 + i * 5 % 100 : 0, 100.0 * (i * 11 % 90)};
    model.record(work, true_seconds(work) * (i % 17 == 16 ? disturbance : 1));
  }
  return model;
}

std::string worst_error(const StepTimeModel& model, double tolerance) {
  for (const StepWork& work : {StepWork{1, 0, 200}, StepWork{12, 0, 8000}, StepWork{6, 80, 3000}}) {
    const double error = std::abs(model.seconds(work) / true_seconds(work) - 1);
    if (error > tolerance) {
      return std::to_string(work.decode_rows) + " rows are predicted " +
             std::to_string(100 * error) + "% off";
    }
  }
  return "";
}

}  // namespace

void check_step_time() {
  report("step times follow their law", worst_error(fitted(400, 1), 0.02));
  const StepCosts costs = fitted(400, 1).costs();
  const bool told =
      std::abs(costs.step / 0.03 - 1) < 0.02 && std::abs(costs.decode_row / 0.001 - 1) < 0.1 &&
      std::abs(costs.prefill_row / 0.0004 - 1) < 0.02 && std::abs(costs.kv_token / 2e-7 - 1) < 0.1;
  report("step times tell what their parts cost", told ? "" : "a part is predicted wrongly");
  report("step times withstand disturbed steps", worst_error(fitted(400, 5), 0.1));

  StepTimeModel model;
  std::string wrong;
  if (model.seconds({1, 0, 0}) != 0) wrong = "a time is predicted before anything is measured";
  model.record({0, 64, 0}, 0.05);
  if (model.seconds({4, 0, 0}) != 0) wrong = "a prompt's step says what decoding costs";
  for (int i = 0; i < 50; ++i) model.record({1, 0, 100}, 0.03);
  // Nothing says that a second row is cheap.
  if (model.seconds({2, 0, 100}) < 0.055) wrong = "an unknown row is predicted to be cheap";
  for (int i = 0; i < 50; ++i) model.record({1 + i % 3, 0, 100}, 0.03 + 0.001 * (i % 3));
  if (std::abs(model.seconds({2, 0, 100}) - 0.031) > 0.001) wrong = "a known row is not cheap";
  report("step times give no slack away before they are known", wrong);

  wrong = "";
  model = fitted(400, 1);
  const double alone = true_seconds({4, 0, 1000});
  // The longest step allowed and what it then is, in times of the step without prefill.
  for (const auto& [longest, expected] : {std::pair{9.0, 2.5}, {2.0, 2.0}, {0.5, 1.5}}) {
    const int rows = model.max_prefill_rows({4, 0, 1000}, 4096, longest * alone);
    const double stretch = true_seconds({4, rows, 1000}) / alone;
    if (std::abs(stretch - expected) > 0.1) {
      wrong = "the step takes " + std::to_string(stretch) + " times";
    }
  }
  if (model.max_prefill_rows({4, 0, 1000}, 3, 9 * alone) != 3) wrong = "the limit is not kept";
  report("prefill beside decoding keeps a step within its limit", wrong);
}

}  // namespace anabranch
