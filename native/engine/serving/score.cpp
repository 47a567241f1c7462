#include "serving/score.h"

#include <algorithm>
#include <utility>
#include <limits>

#include "error.h"
#include "sampling/sampler.h"

namespace anabranch {
namespace {

/// The list of tokens that a segment of the request's tree holds.
struct Place {
  size_t run, list;
  size_t serial;  // index of the first token in serialised order
};

class RunScorer final : public Scorer {
 public:
  RunScorer(std::vector<StructureRun> runs, int vocabulary, ScoreWanted wanted,
            std::promise<Score> promise)
      : runs_(std::move(runs)),
        alternatives_(static_cast<size_t>(std::clamp(wanted.top_logprobs, 0, vocabulary))),
        promise_(std::move(promise)) {
    size_t serial = 0;
    bool trunk_open = true;  // the tree has an empty trunk segment at the beginning
    places_.resize(1);       // and after every parallel run
    for (size_t r = 0; r < runs_.size(); ++r) {
      auto& lists = score_.logprobs.emplace_back();
      if (!runs_[r].parallel && std::exchange(trunk_open, false)) places_.pop_back();
      for (size_t l = 0; l < runs_[r].tokens.size(); ++l) {
        const size_t n = runs_[r].tokens[l].size();
        lists.emplace_back(n, std::numeric_limits<float>::quiet_NaN());
        places_.push_back({r, l, serial});
        serial += n;
      }
      if (runs_[r].parallel) {
        places_.emplace_back();
        trunk_open = true;
      }
    }
    if (wanted.logits) score_.logits.resize(serial * static_cast<size_t>(vocabulary));
    score_.top.resize(serial * alternatives_, -1);
    score_.top_logprobs.resize(serial * alternatives_);
  }

  void take(const LaneLogits& at, std::span<const float> logits) override {
    const Place& place = places_[at.segment];
    const auto& tokens = runs_[place.run].tokens[place.list];
    const size_t next = static_cast<size_t>(at.index) + 1;
    if (next < tokens.size()) {
      const auto [logprob, top] =
          log_probabilities(logits, tokens[next], static_cast<int>(alternatives_));
      score_.logprobs[place.run][place.list][next] = logprob;
      size_t to = (place.serial + next) * alternatives_;
      for (const auto& [id, value] : top) {
        score_.top[to] = id;
        score_.top_logprobs[to++] = value;
      }
    }
    if (score_.logits.empty()) return;
    const size_t row = place.serial + static_cast<size_t>(at.index);
    std::copy(logits.begin(), logits.end(),
              score_.logits.begin() + static_cast<std::ptrdiff_t>(row * logits.size()));
  }

  void finish() override { promise_.set_value(std::move(score_)); }

  void cancel() override {
    promise_.set_exception(
        std::make_exception_ptr(Error(ErrorCode::kCancelled, "the score was cancelled")));
  }

 private:
  std::vector<StructureRun> runs_;
  std::vector<Place> places_;  // [segments of the tree]
  size_t alternatives_;
  std::promise<Score> promise_;
  Score score_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(std::vector<StructureRun> runs, int vocabulary,
                                    ScoreWanted wanted, std::promise<Score> promise) {
  return std::make_unique<RunScorer>(std::move(runs), vocabulary, wanted, std::move(promise));
}

}  // namespace anabranch
