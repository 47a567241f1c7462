#include "serving/request_validation.h"

#include <algorithm>
#include <climits>
#include <string>

#include "error.h"
#include "kv/blocks.h"

namespace anabranch {
namespace {

/// Checks of one request, and the KV blocks that it may need at most.
class RequestValidator {
 public:
  RequestValidator(RequestSpec& spec, const RequestLimits& limits, const Dialect* dialect)
      : spec_(spec), limits_(limits), dialect_(dialect) {}

  void check_prompt() {
    if (spec_.prompt.empty() || tokens_of(spec_.prompt) == 0) {
      throw bad_argument("the prompt is empty");
    }
    for (const StructureRun* run : {&spec_.prompt.front(), &spec_.prompt.back()}) {
      if (run->parallel || run->tokens[0].empty()) {
        throw bad_argument("a prompt begins and ends with a serial run that has tokens");
      }
    }
    // The length is checked later, together with max_tokens.
    check_structure(spec_.prompt, limits_.vocabulary, INT_MAX);
  }

  void check_token_ids() {
    for (int token : spec_.stop_tokens) {
      if (!known(token)) {
        throw bad_argument("stop token id " + std::to_string(token) + " is outside the vocabulary");
      }
    }
    for (const auto& [token, bias] : spec_.sampling.logit_bias) {
      if (!known(token)) {
        throw bad_argument("logit_bias names token id " + std::to_string(token) +
                           ", outside the vocabulary");
      }
    }
    for (const LoggedLane& log : spec_.log) {
      if (log.lane < 0 || !all_known(log.tokens)) {
        throw bad_argument("resume: lane " + std::to_string(log.lane) +
                           " is not one, or holds tokens outside the vocabulary");
      }
    }
  }

  /// Returns the KV blocks that the script needs.
  size_t check_script() {
    check_structure(spec_.script, limits_.vocabulary, limits_.context);
    if (spec_.prompt.size() != 1 || spec_.script[0].parallel ||
        spec_.script[0].tokens[0].size() < spec_.prompt[0].tokens[0].size()) {
      throw bad_argument("a script begins with a serial run that begins with the prompt");
    }
    const auto& [open, close] = spec_.script_titles;
    if (open.empty() != close.empty() || !all_known(open) || !all_known(close)) {
      throw bad_argument(
          "scriptTitles must have both \"open\" and \"close\", of ids in the vocabulary");
    }
    spec_.max_tokens = static_cast<int>(tokens_of(spec_.script));
    return blocks_of(spec_.script) + static_cast<size_t>(blocks_for(open.size() + close.size()));
  }

  /// Returns the KV blocks that prompt and answer may need.
  size_t check_lengths() {
    const auto prompt = static_cast<int>(tokens_of(spec_.prompt));
    const int room = limits_.context - prompt;
    if (room < 1) {
      throw Error(ErrorCode::kOutOfRange, "the prompt has " + std::to_string(prompt) +
                                              " tokens; the model's context is " +
                                              std::to_string(limits_.context));
    }
    if (spec_.max_tokens < 1) throw bad_argument("max_tokens must be at least 1");
    if (!spec_.grammar.empty() && spec_.parallel) {
      throw bad_argument("an answer with a grammar is one document: it can't branch");
    }
    spec_.max_tokens = std::min(spec_.max_tokens, room);
    // Each segment may fill its last block only in part.
    const int segments = dialect_ && spec_.parallel ? dialect_->max_segments(spec_.max_tokens) : 1;
    return blocks_of(spec_.prompt) + static_cast<size_t>(blocks_for(spec_.max_tokens) + segments);
  }

 private:
  bool known(int token) const { return token >= 0 && token < limits_.vocabulary; }
  bool all_known(const std::vector<int>& tokens) const {
    return std::all_of(tokens.begin(), tokens.end(), [&](int token) { return known(token); });
  }

  RequestSpec& spec_;
  const RequestLimits& limits_;
  const Dialect* dialect_;
};

}  // namespace

void validate_request(RequestSpec& spec, const RequestLimits& limits, const Dialect* dialect) {
  RequestValidator validator(spec, limits, dialect);
  validator.check_prompt();
  validator.check_token_ids();
  if (!spec.resume) spec.resume = dialect ? dialect->resume : ResumeRule::kSum;
  const size_t blocks = spec.script.empty() ? validator.check_lengths() : validator.check_script();
  if (blocks > static_cast<size_t>(limits.total_blocks)) {
    throw Error(ErrorCode::kOutOfRange, "prompt and max_tokens may need " + std::to_string(blocks) +
                                            " KV blocks of " + std::to_string(kBlockTokens) +
                                            " tokens; this engine has " +
                                            std::to_string(limits.total_blocks));
  }
}

size_t outlined_blocks(const RequestSpec& spec, const OutlineRules& rules) {
  // The lanes of a list each fill their last block only in part, and begin with a blank line.
  const int lanes = 2 * (rules.max_titles + 1);
  const int outline = blocks_for(static_cast<size_t>(rules.max_outline_tokens()));
  return blocks_of(spec.prompt) +
         static_cast<size_t>(2 * blocks_for(spec.max_tokens) + lanes + outline);
}

}  // namespace anabranch
