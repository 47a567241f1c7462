// Which branches decode in a step, where a step's time is known exactly.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "check/checks.h"
#include "serving/branch_schedule.h"

namespace anabranch {
namespace {

/// Branches that decode independently of each other, which nothing samples.
class Branches final : public DecodingPolicy {
 public:
  std::optional<SamplingInput> sampling_input(const Request&, const Lane&) const override {
    return std::nullopt;
  }
  std::vector<int> independent_lanes(const Request& request) const override {
    std::vector<int> out;
    for (const Lane& lane : request.tree().branches()) out.push_back(lane.id);
    return out;
  }
  void step(Request&, const std::vector<LaneToken>&, EventBuffer&) override {}
};

/// Steps of 1 ms and 1 ms more per decode row, whatever they read.
StepTimeModel model_of_rows() {
  StepTimeModel model;
  for (int i = 0; i < 400; ++i) {
    const int rows = 1 + i * 7 % 12;
    model.record({rows, 0, 0}, 0.001 * (1 + rows));
  }
  return model;
}

/// Answers that are being decoded.
class Answers {
 public:
  /// An answer with this many branches (0: it is serial) and a limit in ms per token (0: none).
  Answers& add(int branches, double limit) {
    RequestSpec spec;
    spec.id = static_cast<std::uint32_t>(requests_.size() + 1);
    spec.prompt = {{false, {{1, 2, 3}}}};
    spec.max_tokens = 1000;
    spec.max_time_per_token = 0.001 * limit;
    auto request = std::make_shared<Request>(std::move(spec), pool_);
    request->policy = std::make_unique<Branches>();
    request->arrival = request->group = requests_.size() + 1;
    Batch prompt;
    request->tree().add_rows(prompt, 1000, false);
    if (branches > 0)
      request->tree().fork(std::vector<std::vector<int>>(branches, {4}));
    else
      request->tree().trunk().write(4);
    EventBuffer events;
    request->start(0, events);
    requests_.push_back(std::move(request));
    return *this;
  }

  /// How many lanes of each answer decode in the next step.
  std::vector<int> lanes_in_step(const std::string& mode, int max_rows = 64) {
    BranchSchedule schedule(branch_schedule_of(mode));
    schedule.select(requests_, max_rows, 0, 64, model_of_rows());
    std::vector<int> out;
    for (const auto& request : requests_) {
      int lanes = 0;
      for (const Lane& lane : request->tree().lanes()) lanes += lane.live && !lane.held;
      out.push_back(lanes);
    }
    return out;
  }

  /// Whether one more answer may start in slack mode, with the engine's limit in ms per token.
  bool admit_one_more(double limit) {
    BranchScheduleOptions options = branch_schedule_of("slack");
    options.max_time_per_token = 0.001 * limit;
    add(0, 0);
    const auto newcomer = requests_.back();
    requests_.pop_back();
    return BranchSchedule(options).admits(*newcomer, requests_, model_of_rows());
  }

 private:
  BlockPool pool_{256};
  std::vector<std::shared_ptr<Request>> requests_;
};

/// Empty if an answer whose first `tokens` tokens took `ms` may take `wanted` ms for its next step
/// of `lanes` lanes, under a limit of 10 ms per token.
std::string step_of(int lanes, int tokens, double ms, double wanted) {
  const double got = 1000 * longest_step(0.010, lanes, {tokens, 0.001 * ms});
  if (std::abs(got - wanted) < 1e-9) return "";
  return std::to_string(got) + " ms, not " + std::to_string(wanted);
}

/// Empty if `got` is `wanted`, else both.
std::string compared(const std::vector<int>& got, const std::vector<int>& wanted) {
  if (got == wanted) return "";
  const auto text = [](const std::vector<int>& lanes) {
    std::string out;
    for (int count : lanes) out += " " + std::to_string(count);
    return out;
  };
  return "lanes that decode:" + text(got) + ", not" + text(wanted);
}

}  // namespace

void check_branch_schedule() {
  report("all branches decode at once",
         compared(Answers().add(8, 0).add(0, 0).lanes_in_step("eager"), {8, 1}));
  report("or one of each answer",
         compared(Answers().add(8, 0).add(0, 0).lanes_in_step("off"), {1, 1}));
  report("or a few", compared(Answers().add(8, 0).add(2, 0).lanes_in_step("cap:3"), {3, 2}));
  report("slack without limits holds no branch",
         compared(Answers().add(8, 0).add(0, 0).lanes_in_step("slack"), {8, 1}));
  // Two rows take 3 ms, three 4 ms, four 5 ms; a tenth of each limit is kept free.
  report("branches decode within another answer's limit",
         compared(Answers().add(8, 0).add(0, 4.6).lanes_in_step("slack"), {2, 1}));
  report("and within the tightest of several",
         compared(Answers().add(8, 0).add(0, 10.1).add(0, 5.7).lanes_in_step("slack"), {2, 1, 1}));
  report("a limit that is missed anyway holds no branch",
         compared(Answers().add(8, 0).add(0, 2.8).lanes_in_step("slack"), {8, 1}));
  report("nor does it hide one that can be kept",
         compared(Answers().add(8, 0).add(0, 2.8).add(0, 5.7).lanes_in_step("slack"), {2, 1, 1}));
  report("an answer at its limit takes it for each of its lanes", step_of(3, 5, 50, 30));
  report("one that is ahead has time left", step_of(1, 5, 38, 22));
  report("one that misses it so far makes up for it in eight steps", step_of(1, 5, 66, 8));
  report("but never faster than by a part of a step", step_of(2, 5, 500, 14));
  // n branches write n tokens in 1 + n ms.
  report("an answer's own branches make its mean time shorter",
         compared(Answers().add(8, 1.8).lanes_in_step("slack"), {8}));
  // Three first lanes take 4 ms. Branches can wait.
  const auto admits = [](double limit) {
    return Answers().add(8, 0).add(0, 0).admit_one_more(limit);
  };
  report("an answer starts where the engine's limit leaves time for its first lane",
         admits(4.6) ? "" : "it waits");
  report("and waits where it does not", admits(4.3) ? "it starts" : "");
  report("but not for a limit that it would miss alone", admits(1.7) ? "" : "it waits");
  report("nor for another answer's limit",
         Answers().add(0, 2.8).admit_one_more(0) ? "" : "it waits");
  report("first lanes go before further ones where rows are few",
         compared(Answers().add(8, 0).add(8, 0).add(0, 0).lanes_in_step("slack", 4), {2, 1, 1}));
}

}  // namespace anabranch
