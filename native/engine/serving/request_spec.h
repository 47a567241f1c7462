// What a caller asks of the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "grammar/grammar.h"
#include "kv/structure.h"
#include "sampling/sampler.h"
#include "serving/events.h"
#include "serving/served_adapter.h"

namespace anabranch {

/// A lane of an answer that another engine began, as far as it was emitted.
struct LoggedLane {
  int lane = 0;
  std::vector<int> tokens;
  std::optional<CloseReason> closed;  // of a branch whose end was emitted
  bool accepted = false;              // of a branch of an outlined stage
};

struct RequestSpec {
  std::uint32_t id = 0;
  ServedAdapterPtr adapter;          // null: the model itself
  std::vector<StructureRun> prompt;  // the first and the last run are serial
  SamplingParams sampling;
  bool parallel = false;  // the answer may branch: by the dialect, or at its lists
  int max_branches = 0;   // 0: the dialect's cap
  int max_tokens = 0;     // completion tokens over all lanes
  std::uint64_t seed = 0;
  std::uint32_t choice_index = 0;        // OpenAI's choice index, part of the random counter
  int priority = 0;                      // higher goes first
  std::vector<std::uint8_t> cache_salt;  // KV is shared within one salt; empty: not shared
  std::vector<int> stop_tokens;          // besides the model's own
  bool ignore_eos = false;
  GrammarWords grammar;                   // what the answer may say; empty: anything
  std::chrono::milliseconds deadline{0};  // from submission; 0: none
  double max_time_per_token = 0;          // seconds, on the mean; 0: the engine's option
  bool sequential = false;                // debugging: siblings one after another, no draft tokens
  bool return_logits = false;             // debugging: raw logits of every sampled token, as events

  /// An answer that another engine began, up to the end of a step. Its tokens are emitted again,
  /// and decoding continues after them.
  std::vector<LoggedLane> log;

  /// If not empty, tokens and structure are given instead of sampled, one token per lane and step.
  /// The first run begins with the prompt, which is then one serial run.
  std::vector<StructureRun> script;
  /// In scripts: the tokens that open and close a plan's titles, drafted as a dialect drafts them.
  /// Empty: no draft tokens.
  struct {
    std::vector<int> open, close;
  } script_titles;
  std::optional<ResumeRule> resume;  // of prompt and script; absent: the dialect's, else sum
};

}  // namespace anabranch
