// One request as the engine knows it: token ids in, events out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events.h"
#include "lanes.h"
#include "sampler.h"

namespace anabranch {

/// A run of one answer's structure: a serial run has one list, a parallel group has its branches.
struct StructureRun {
  bool parallel = false;
  std::vector<std::vector<int>> tokens;  // serial: [1][n]; parallel: [branches][n]
};

struct RequestSpec {
  std::uint32_t id = 0;
  std::vector<int> prompt;
  Sampling sampling;
  bool parallel = false;          // may branch, where the model has a dialect
  int max_branches = 0;           // 0: the dialect's cap
  int max_tokens = 0;             // completion tokens over all lanes
  std::uint64_t seed = 0;
  std::uint32_t choice = 0;
  std::vector<int> stop_tokens;   // beside the model's own
  bool ignore_eos = false;
  std::chrono::milliseconds deadline{0};  // from submission; 0: none
  bool sequential = false;        // debugging: siblings one after another
  bool return_logits = false;     // debugging: raw logits of every chosen token as events

  /// Not empty: tokens and structure are given instead of chosen, one token a lane and step. The
  /// first run, which must be serial, is the prompt.
  std::vector<StructureRun> script;
  ResumeRule script_resume = ResumeRule::kSum;
};

class Guide;

class Request {
 public:
  Request(RequestSpec spec, BlockPool& pool);

  const RequestSpec& spec() const { return spec_; }
  LaneTree& tree() { return tree_; }
  const LaneTree& tree() const { return tree_; }

  /// Still forwarding the prompt: no decode row yet.
  bool in_prefill() const { return prefill_left_ > 0; }
  bool finished() const { return finished_.has_value(); }
  FinishReason reason() const { return *finished_; }
  void finish(FinishReason reason) {
    if (!finished_) finished_ = reason;
  }
  bool expired(std::chrono::steady_clock::time_point now) const {
    return spec_.deadline.count() > 0 && now >= submitted_ + spec_.deadline;
  }

  int remaining() const { return spec_.max_tokens - usage_.completion_tokens; }

  /// Adds this step's rows to the batch.
  void add_rows(Batch& batch, int allowance);
  /// Gives the step's logits to the guide, which chooses and moves the lanes on.
  void advance(Guide& guide, float* logits, int vocabulary, Events& events);

  // For guides: what is written, and to whom it is told.
  void emit(Lane& lane, const WrittenToken& token, Events& events);
  void open_stage(const std::vector<std::vector<int>>& titles,
                  const std::vector<std::vector<int>>& openings, Events& events);
  void close_branch(Lane& lane, CloseReason reason, Events& events);
  void close_stage(ResumeRule rule, Events& events);

  /// Tokens written in a lane so far, forced ones included: the sampling index.
  std::uint32_t written(const Lane& lane) const { return written_[lane.id]; }
  TokenCounts& counts(const Lane& lane) { return counts_[lane.id]; }
  const Usage& usage() const { return usage_; }

  std::unique_ptr<Guide> guide;
  int reserved_blocks = 0;

 private:
  RequestSpec spec_;
  LaneTree tree_;
  std::chrono::steady_clock::time_point submitted_ = std::chrono::steady_clock::now();
  int prefill_left_;
  std::optional<FinishReason> finished_;
  Usage usage_;
  std::vector<std::uint32_t> written_;   // [lanes]
  std::vector<TokenCounts> counts_;      // [lanes]
  std::vector<LaneLogits> wanted_;       // of the step under way
};

/// Decides what a lane writes next and when lanes open and close.
class Guide {
 public:
  virtual ~Guide() = default;

  /// Lanes that are to be given a token, each with its raw logits row [vocabulary] (free to be
  /// changed). Called once a step, with every lane of the request that has logits.
  virtual void step(Request& request, const std::vector<LaneLogits>& lanes, float* logits,
                    int vocabulary, Events& events) = 0;
};

}  // namespace anabranch
