// One request as the engine knows it: token ids in, events out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "serving/events.h"
#include "kv/lanes.h"
#include "sampling/sampler.h"
#include "kv/structure.h"

namespace anabranch {

/// A lane of an answer begun elsewhere, as far as it was told.
struct LoggedLane {
  int lane = 0;
  std::vector<int> tokens;
  std::optional<CloseReason> closed;  // a branch, where its end was told
};

/// How a plan is asked for where the dialect is prompted: these ids stand in place of what comes after
/// the first `at` tokens of the prompt's last run, which follows where the plan is dropped.
struct PlanPrompt {
  int at = 0;
  std::vector<int> ids;  // empty: no plan is asked for
};

struct RequestSpec {
  std::uint32_t id = 0;
  std::vector<StructureRun> prompt;  // its first and last run are serial
  PlanPrompt plan;
  SamplingParams sampling;
  bool parallel = false;          // may branch, where the model has a dialect
  int max_branches = 0;           // 0: the dialect's cap
  int max_tokens = 0;             // completion tokens over all lanes
  std::uint64_t seed = 0;
  std::uint32_t choice_index = 0;
  int priority = 0;               // higher goes first
  std::vector<std::uint8_t> cache_salt;  // KV is shared within one salt; empty: not at all
  std::vector<int> stop_tokens;   // beside the model's own
  bool ignore_eos = false;
  std::chrono::milliseconds deadline{0};  // from submission; 0: none
  bool sequential = false;        // debugging: siblings one after another, nothing guessed
  bool return_logits = false;     // debugging: raw logits of every chosen token as events

  /// An answer begun elsewhere: it goes on after these tokens, which are told once more. They end
  /// with a whole step.
  std::vector<LoggedLane> log;

  /// Not empty: tokens and structure are given instead of chosen, one token a lane and step. The
  /// first run begins with the prompt, which is then one serial run.
  std::vector<StructureRun> script;
  /// In scripts: what a title of a plan begins and ends with, so that its end is guessed as where a dialect
  /// writes it.
  struct {
    std::vector<int> open, close;  // nothing is guessed where these are empty
  } script_titles;
  std::optional<ResumeRule> resume;  // of prompt and script; absent: the dialect's, else sum
};

class DecodingPolicy;
class Scorer;

class Request : public std::enable_shared_from_this<Request> {
 public:
  Request(RequestSpec spec, BlockPool& pool);

  const RequestSpec& spec() const { return spec_; }
  LaneTree& tree() { return tree_; }
  const LaneTree& tree() const { return tree_; }

  bool finished() const { return finished_.has_value(); }
  FinishReason reason() const { return *finished_; }
  void finish(FinishReason reason);
  bool expired(std::chrono::steady_clock::time_point now) const {
    return spec_.deadline.count() > 0 && now >= submitted_ + spec_.deadline;
  }

  int remaining() const { return spec_.max_tokens - usage_.completion_tokens; }

  /// Writes what the log says, and leaves it to be filled. Throws Error where the log is no
  /// beginning of an answer to this request.
  void replay();
  /// Tells that it starts, and returns true, the first time it is admitted; `cached` tokens needed no
  /// filling.
  bool start(int cached, EventBuffer& events);
  /// Adds this step's rows to the batch. Returns how many.
  int add_rows(Batch& batch, int allowance);
  /// After the step's forward pass: adds to `picks` what is to be chosen for its lanes.
  void ask(Backend& backend, std::vector<SamplingRow>& picks, EventBuffer& events);
  /// Lets the policy move the lanes on with what was chosen for all of these picks. True where the trunk
  /// wrote what was guessed, and ask() has what follows.
  bool advance(const std::vector<SampledToken>& chosen, EventBuffer& events);

  // For policies: what is written, and to whom it is told.
  void emit(Lane& lane, const EmittedToken& token, EventBuffer& events);
  /// The plan's segment goes, with the `more` tokens before it.
  void drop_plan(int more);
  /// The first `count` of the tokens that the lane holds back are visible text.
  void release(const Lane& lane, int count, EventBuffer& events);
  void open_stage(const std::vector<std::vector<int>>& titles,
                  const std::vector<std::vector<int>>& openings, bool shown, EventBuffer& events);
  void close_branch(Lane& lane, CloseReason reason, EventBuffer& events);
  void close_stage(ResumeRule rule, EventBuffer& events);

  /// Tokens written in a lane so far, forced ones included: the sampling index.
  std::uint32_t written(const Lane& lane) const { return written_[lane.id]; }
  /// The token that the log has next in this lane.
  std::optional<int> logged(const Lane& lane) const;
  TokenCounts& counts(const Lane& lane) { return counts_[lane.id]; }
  const TokenCounts& counts(const Lane& lane) const { return counts_[lane.id]; }
  const Usage& usage() const { return usage_; }

  std::unique_ptr<DecodingPolicy> policy;    // one of these:
  std::unique_ptr<Scorer> scorer;  // every token of the prompt gives its logits, nothing is told
  std::uint64_t arrival = 0;    // order of submission
  std::uint64_t last_step = 0;  // the scheduler's step that last had rows of it
  bool running = false;         // admitted, and holds its KV

 private:
  const LoggedLane* log_of(int lane) const;
  void tell_logits(int lane, std::span<const float> logits, EventBuffer& events) const;
  std::vector<int> draft_tokens() const;

  RequestSpec spec_;
  LaneTree tree_;
  std::chrono::steady_clock::time_point submitted_ = std::chrono::steady_clock::now();
  std::optional<FinishReason> finished_;
  bool started_ = false;
  EventBuffer replayed_;
  bool counted_ = true;  // while replaying: the next tokens are chosen by prefill or a step counted before
  Usage usage_;
  std::vector<std::uint32_t> written_;   // [lanes]
  std::vector<TokenCounts> counts_;      // [lanes]
  std::vector<int> held_;                // [lanes] tokens held back
  std::vector<LaneLogits> wanted_;   // of the step under way, to be asked for now,
  std::vector<LaneLogits> draft_logits_;  // and should the trunk write what was guessed;
  std::vector<std::pair<int, int>> asked_;  // a lane and its pick, or -1
};

/// A lane and its next token, chosen or logged.
struct LaneToken {
  int lane = 0;
  SampledToken sampled;
  std::optional<CloseReason> closed = {};  // logged: the branch was ended here, not by its marker
};

/// Decides what a lane writes next and when lanes open and close.
class DecodingPolicy {
 public:
  virtual ~DecodingPolicy() = default;

  /// Called once, before anything else.
  virtual void begin(Request&, EventBuffer&) {}

  /// How the next token of a lane is to be chosen; nothing where step() knows it.
  virtual std::optional<SamplingInput> sampling_input(const Request& request, const Lane& lane) const = 0;

  /// What the trunk may well write next, where there is little to choose from: it is forwarded before it is
  /// chosen. As much of it as is right takes no further step.
  virtual std::vector<int> draft(const Request&) const { return {}; }

  /// Called once a step, with every lane of the request that had logits; while the trunk writes what was
  /// guessed, again with what follows.
  virtual void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) = 0;

  /// Tokens of a branch's end where it is forced.
  virtual int end_tokens() const { return 0; }
};

/// Takes the logits of a prompt.
class Scorer {
 public:
  virtual ~Scorer() = default;

  /// Called once for each token of the prompt, more often where it was preempted.
  virtual void take(const LaneLogits& at, std::span<const float> logits) = 0;
  virtual void finish() = 0;
};

}  // namespace anabranch
