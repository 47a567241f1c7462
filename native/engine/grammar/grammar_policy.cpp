#include "grammar/grammar_policy.h"

#include <algorithm>
#include <utility>

#include "dialect/lane_sampling.h"
#include "serving/request.h"

namespace anabranch {
namespace {

constexpr size_t kMaxForcedBytes = 64;  // looked at for one draft
constexpr size_t kMaxDraftTokens = 4;   // rows that a rejected draft wastes

class GrammarPolicy final : public DecodingPolicy {
 public:
  GrammarPolicy(const RequestSpec& spec, std::shared_ptr<Grammar> grammar,
                const std::vector<int>& eos)
      : grammar_(std::move(grammar)), end_tokens_(spec, eos), state_(grammar_->start()) {}

  std::optional<SamplingInput> sampling_input(const Request& request,
                                              const Lane& lane) const override {
    TokenConstraint constraint;
    constraint.mask = grammar_->mask(state_);
    if (grammar_->may_end(state_)) constraint.allowed = end_tokens_.ends;
    constraint.banned = end_tokens_.ignored;
    return sampling_input_of(request, lane, std::move(constraint));
  }

  /// What the grammar forces, in the tokens that a tokenizer would most likely give.
  std::vector<int> draft(const Request&) const override {
    return grammar_->trie().spell(grammar_->forced(state_, kMaxForcedBytes), kMaxDraftTokens);
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) override {
    for (const LaneToken& next : lanes) {
      write(request, request.tree().lanes()[next.lane], next.sampled, events);
    }
  }

 private:
  void write(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    if (end_tokens_.contains(sampled.token)) {
      request.emit(lane, emitted(request, lane, sampled, 0), events);
      return request.finish(FinishReason::kStop);
    }
    const auto bytes = grammar_->trie().bytes(sampled.token);
    const int next = bytes.empty() ? Grammar::kDead : grammar_->after(state_, bytes);
    // Only where no token of the vocabulary fits, or the grammar became too large.
    if (next < 0) return request.finish(FinishReason::kLength);
    state_ = next;
    ++request.counts(lane)[sampled.token];
    request.emit(lane, emitted(request, lane, sampled, EmittedToken::kVisible), events);
    lane.write(sampled.token);
    if (grammar_->must_end(state_)) return request.finish(FinishReason::kStop);
    if (request.remaining() < 1) request.finish(FinishReason::kLength);
  }

  std::shared_ptr<Grammar> grammar_;
  EndTokens end_tokens_;
  int state_;
};

}  // namespace

std::unique_ptr<DecodingPolicy> make_grammar_policy(const RequestSpec& spec,
                                                    std::shared_ptr<Grammar> grammar,
                                                    const std::vector<int>& eos) {
  return std::make_unique<GrammarPolicy>(spec, std::move(grammar), eos);
}

}  // namespace anabranch
