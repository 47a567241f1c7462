#include "fuzz/random_requests.h"

#include <algorithm>
#include <climits>
#include <cmath>

namespace anabranch {

int random_token(const ModelShape& s, Dice& dice) {
  if (dice.chance(99)) return dice.below(s.vocabulary);
  return dice.pick<int>({-1, s.vocabulary, s.vocabulary + 1, INT_MAX, INT_MIN});
}

std::vector<int> random_tokens(const ModelShape& s, int max, Dice& dice) {
  std::vector<int> out(dice.pick<int>({0, 1, 2, 15, 16, 17, dice.below(max + 1), max}));
  if (static_cast<int>(out.size()) > max) out.resize(max);
  for (int& token : out) token = dice.below(s.vocabulary);
  if (!out.empty() && dice.chance(3))
    out[dice.below(static_cast<int>(out.size()))] = random_token(s, dice);
  return out;
}

std::vector<StructureRun> random_structure(const ModelShape& s, Dice& dice) {
  std::vector<StructureRun> out;
  for (int i = dice.below(7); i > 0; --i) {
    StructureRun run;
    run.parallel = dice.chance(40);
    for (int b = run.parallel ? dice.below(6) : 1; b > 0; --b) {
      run.tokens.push_back(random_tokens(s, dice.chance(90) ? 12 : s.context, dice));
    }
    out.push_back(std::move(run));
  }
  return out;
}

namespace {

float random_float(float usual, Dice& dice) {
  if (dice.chance(95)) return usual;
  return dice.pick<float>({0, 1, -1, 1e30f, -1e30f, 1e-30f, NAN, INFINITY, -INFINITY});
}

SamplingParams random_sampling(const ModelShape& s, Dice& dice) {
  SamplingParams out;
  out.temperature =
      random_float(dice.chance(30) ? 0 : static_cast<float>(dice.between(1, 30)) / 10, dice);
  out.top_p = random_float(dice.chance(70) ? 1 : 0.9f, dice);
  out.min_p = random_float(dice.chance(70) ? 0 : 0.05f, dice);
  out.top_k = dice.pick<int>({0, 0, 1, 5, s.vocabulary, INT_MAX, -1});
  out.presence_penalty = random_float(dice.chance(80) ? 0 : 1, dice);
  out.frequency_penalty = random_float(dice.chance(80) ? 0 : 1, dice);
  out.repetition_penalty = random_float(dice.chance(80) ? 1 : 1.2f, dice);
  if (dice.chance(60)) {
    // Bias towards markers, so that plans open, titles close and branches end.
    out.logit_bias = {{kTitleOpen, static_cast<float>(dice.between(0, 9))},
                      {kTitleClose, static_cast<float>(dice.between(0, 9))},
                      {kBranchClose, static_cast<float>(dice.between(-3, 6))}};
    for (int id = kBranchClose + 1; dice.chance(80) && id <= kLastMarker; ++id) {
      out.logit_bias.emplace_back(id, static_cast<float>(dice.between(-3, 9)));
    }
    for (int id : {kTitleClose + 1, kTitleClose + 2}) {
      if (dice.chance(50)) out.logit_bias.emplace_back(id, static_cast<float>(dice.between(-3, 9)));
    }
  }
  if (dice.chance(10)) out.logit_bias.emplace_back(random_token(s, dice), random_float(5, dice));
  out.logprobs = dice.chance(20);
  out.top_logprobs = dice.pick<int>({0, 3, s.vocabulary, INT_MAX, -1});
  return out;
}

}  // namespace

RequestSpec random_request(std::uint32_t id, const ModelShape& s, Dice& dice) {
  RequestSpec spec;
  spec.id = id;
  if (dice.chance(80)) {
    const int max = dice.chance(90) ? std::min(s.context - 1, 40) : s.context + 1;
    spec.prompt = {{false, {random_tokens(s, max, dice)}}};
  } else {
    spec.prompt = random_structure(s, dice);
    if (dice.chance(80)) {
      spec.prompt.insert(spec.prompt.begin(), {false, {{dice.below(s.vocabulary)}}});
      spec.prompt.push_back({false, {{dice.below(s.vocabulary)}}});
    }
  }
  spec.sampling = random_sampling(s, dice);
  spec.parallel = dice.chance(80);
  spec.max_branches = dice.pick<int>({0, 0, 1, 2, 3, INT_MAX, -1});
  spec.max_tokens = dice.pick<int>({1, 2, dice.between(1, 30), dice.between(1, s.context),
                                    s.context, s.context, INT_MAX, 0, -1, INT_MIN});
  spec.seed = dice.word();
  spec.choice_index = static_cast<std::uint32_t>(dice.word());
  spec.priority = dice.pick<int>({0, 0, 0, 1, -1, 1000, INT_MAX, INT_MIN});
  if (dice.chance(70)) spec.cache_salt.assign(1, static_cast<std::uint8_t>(dice.below(2)));
  if (dice.chance(20)) spec.resume = dice.chance(50) ? ResumeRule::kSum : ResumeRule::kMax;
  if (dice.chance(10)) spec.stop_tokens = {random_token(s, dice), random_token(s, dice)};
  spec.ignore_eos = dice.chance(50);
  if (dice.chance(3)) spec.deadline = std::chrono::milliseconds(dice.between(0, 2));
  spec.sequential = dice.chance(5);
  if (dice.chance(20)) spec.max_time_per_token = dice.pick<double>({1e-6, 1e-4, 1});
  spec.return_logits = dice.chance(3);
  if (dice.chance(20)) {
    spec.script = random_structure(s, dice);
    if (!spec.script.empty() && !spec.script[0].parallel && dice.chance(90)) {
      spec.prompt = {spec.script[0]};
      auto& prompt = spec.prompt[0].tokens[0];
      if (!prompt.empty() && dice.chance(50)) prompt.pop_back();
    }
  }
  return spec;
}

}  // namespace anabranch
