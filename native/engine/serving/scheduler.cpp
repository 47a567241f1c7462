#include "serving/scheduler.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "dialect/dialect_policy.h"
#include "error.h"
#include "serving/invariants.h"
#include "dialect/script_policy.h"

namespace anabranch {
namespace {

/// Whose turn comes first; also who keeps its KV where there is too little.
bool before(const Request& a, const Request& b) {
  if (a.spec().priority != b.spec().priority) return a.spec().priority > b.spec().priority;
  return a.arrival < b.arrival;
}

/// Rows of scores forwarded together at the most where the vocabulary is large: each has logits.
constexpr int kScoreRows = 64;

}  // namespace

Scheduler::Scheduler(Backend& backend, std::optional<Dialect> dialect, SchedulerOptions options)
    : backend_(backend),
      dialect_(std::move(dialect)),
      options_(options),
      pool_(backend.total_blocks()) {
  if (options_.prefill_rows == 0) options_.prefill_rows = backend.prefill_rows();
}

// ---- the door ------------------------------------------------------------------------------------

void Scheduler::check(RequestSpec& spec) const {
  const ModelConfig& config = backend_.config();
  const auto known = [&](int token) { return token >= 0 && token < config.vocabulary; };
  if (spec.prompt.empty() || tokens_of(spec.prompt) == 0) {
    throw bad_argument("the prompt is empty");
  }
  for (const StructureRun* run : {&spec.prompt.front(), &spec.prompt.back()}) {
    if (run->parallel || run->tokens[0].empty()) {
      throw bad_argument("a prompt begins and ends with a serial run that has tokens");
    }
  }
  // Its length is judged below, with what is to be written after it.
  check_structure(spec.prompt, config.vocabulary, INT_MAX);
  for (int token : spec.stop_tokens) {
    if (!known(token)) {
      throw bad_argument("stop token id " + std::to_string(token) + " is outside the vocabulary");
    }
  }
  for (const auto& [token, bias] : spec.sampling.logit_bias) {
    if (!known(token)) {
      throw bad_argument("logit_bias names token id " + std::to_string(token) +
                         ", outside the vocabulary");
    }
  }
  for (const LoggedLane& log : spec.log) {
    if (log.lane < 0 || !std::all_of(log.tokens.begin(), log.tokens.end(), known)) {
      throw bad_argument("resume: lane " + std::to_string(log.lane) +
                         " is not one, or holds tokens outside the vocabulary");
    }
  }
  if (!spec.resume) spec.resume = dialect_ ? dialect_->resume : ResumeRule::kSum;
  const bool plans = dialect_ && dialect_->prompted && spec.parallel && spec.max_branches != 1;
  if (!plans || !spec.script.empty()) spec.plan = {};
  if (!spec.plan.ids.empty()) {
    const auto& last = spec.prompt.back().tokens[0];
    if (spec.plan.at < 1 || spec.plan.at >= static_cast<int>(last.size())) {
      throw bad_argument("plan.at must leave tokens of the prompt's last run before and behind it");
    }
    if (!std::all_of(spec.plan.ids.begin(), spec.plan.ids.end(), known)) {
      throw bad_argument("plan holds a token id outside the vocabulary");
    }
  }
  const auto prompt = static_cast<int>(tokens_of(spec.prompt) + spec.plan.ids.size());
  size_t blocks = blocks_of(spec.prompt) + static_cast<size_t>(blocks_for(spec.plan.ids.size()));
  if (!spec.script.empty()) {
    check_structure(spec.script, config.vocabulary, config.context);
    if (spec.prompt.size() != 1 || spec.script[0].parallel ||
        spec.script[0].tokens[0].size() < spec.prompt[0].tokens[0].size()) {
      throw bad_argument("a script begins with a serial run that begins with the prompt");
    }
    const auto& [open, close] = spec.script_titles;
    const bool ids = std::ranges::all_of(open, known) && std::ranges::all_of(close, known);
    if (open.empty() != close.empty() || !ids) {
      throw bad_argument("scriptTitles must have both \"open\" and \"close\", of ids in the vocabulary");
    }
    blocks = blocks_of(spec.script) + static_cast<size_t>(blocks_for(open.size() + close.size()));
    spec.max_tokens = static_cast<int>(tokens_of(spec.script));
  } else {
    const int room = config.context - prompt;
    if (room < 1) {
      throw Error(ErrorCode::kOutOfRange, "the prompt has " + std::to_string(prompt) +
                                              " tokens; the model's context is " +
                                              std::to_string(config.context));
    }
    if (spec.max_tokens < 1) throw bad_argument("max_tokens must be at least 1");
    spec.max_tokens = std::min(spec.max_tokens, room);
    // Every segment may leave its last block partly filled.
    const int segments = dialect_ && spec.parallel ? dialect_->max_segments(spec.max_tokens) : 1;
    blocks += static_cast<size_t>(blocks_for(spec.max_tokens) + segments);
  }
  if (blocks > static_cast<size_t>(pool_.total())) {
    throw Error(ErrorCode::kOutOfRange,
                "prompt and max_tokens may need " + std::to_string(blocks) + " KV blocks of " +
                    std::to_string(kBlockTokens) + " tokens; this engine has " +
                    std::to_string(pool_.total()));
  }
}

std::shared_ptr<Request> Scheduler::make(RequestSpec spec) {
  check(spec);
  auto request = std::make_shared<Request>(std::move(spec), pool_);
  request->policy = request->spec().script.empty()
                       ? make_dialect_policy(request->spec(), dialect_ ? &*dialect_ : nullptr,
                                            backend_.config().eos)
                       : make_script_policy(request->spec());
  request->replay();
  return request;
}

std::shared_ptr<Request> Scheduler::make_score(std::vector<StructureRun> runs, ResumeRule resume,
                                               bool want_logits, std::promise<Score> promise) {
  const ModelConfig& config = backend_.config();
  check_structure(runs, config.vocabulary, config.context);
  if (blocks_of(runs) > static_cast<size_t>(pool_.total())) {
    throw Error(ErrorCode::kOutOfRange,
                "scoring needs " + std::to_string(blocks_of(runs)) + " KV blocks; this engine has " +
                    std::to_string(pool_.total()));
  }
  RequestSpec spec;
  spec.prompt = runs;
  spec.resume = resume;
  auto request = std::make_shared<Request>(std::move(spec), pool_);
  request->scorer =
      make_scorer(std::move(runs), config.vocabulary, want_logits, std::move(promise));
  return request;
}

void Scheduler::submit(std::shared_ptr<Request> request) {
  request->arrival = ++arrivals_;
  queue(std::move(request));
}

void Scheduler::queue(std::shared_ptr<Request> request) {
  const auto at = std::upper_bound(waiting_.begin(), waiting_.end(), request,
                                   [](const auto& a, const auto& b) { return before(*a, *b); });
  waiting_.insert(at, std::move(request));
}

void Scheduler::cancel(std::uint32_t id) {
  const auto cancel_in = [&](auto& requests) {
    for (auto& request : requests) {
      if (request->spec().id == id && !request->scorer) {
        request->finish(FinishReason::kCancelled);
      }
    }
  };
  cancel_in(waiting_);
  cancel_in(running_);
}

void Scheduler::cancel_all() {
  for (auto& request : waiting_) request->finish(FinishReason::kCancelled);
  for (auto& request : running_) request->finish(FinishReason::kCancelled);
}

void Scheduler::abandon() {
  waiting_.clear();
  running_.clear();
  in_batch_.clear();
}

// ---- coming and going ----------------------------------------------------------------------------

void Scheduler::end(Request& request, EventBuffer& events) {
  ++counters_.finished;
  if (!request.scorer) {
    // An answer whose log was whole has ended without a turn.
    const FinishReason reason = request.reason();
    if (reason == FinishReason::kStop || reason == FinishReason::kLength) request.start(0, events);
    events.finished(request.spec().id, request.reason(), request.usage());
  }
}

void Scheduler::end_overdue(EventBuffer& events) {
  const auto now = StepTimeEstimator::Clock::now();
  for (auto& request : running_) {
    if (request->expired(now)) request->finish(FinishReason::kDeadline);
  }
  std::erase_if(waiting_, [&](auto& request) {
    if (request->expired(now)) request->finish(FinishReason::kDeadline);
    if (!request->finished()) return false;
    end(*request, events);
    return true;
  });
}

void Scheduler::retire(EventBuffer& events) {
  std::erase_if(running_, [&](auto& request) {
    if (!request->finished()) return false;
    end(*request, events);
    const auto left = running_.size() + waiting_.size() - 1;
    step_time_.finished(StepTimeEstimator::Clock::now(), static_cast<int>(left));
    return true;
  });
}

/// Room for all that it must fill and, beside others, for one block more a lane: who just fits would
/// be preempted at once.
bool Scheduler::fits(Request& request) const {
  if (static_cast<int>(running_.size()) >= options_.max_running) return false;
  int blocks = request.tree().blocks_needed(INT_MAX);
  if (!running_.empty()) {
    blocks += request.tree().live_lanes();
    for (const auto& other : running_) blocks += other->tree().live_lanes();
  }
  return blocks <= pool_.free();
}

/// Another request is just computing what this one would compute next: it waits, and then finds it.
bool Scheduler::awaits_prefix(const Request& request) const {
  const auto key = request.tree().next_key();
  return key && std::any_of(running_.begin(), running_.end(), [&](const auto& other) {
           return other->tree().will_publish(*key);
         });
}

void Scheduler::admit(EventBuffer& events) {
  for (size_t turn = 0; turn < waiting_.size();) {
    const std::shared_ptr<Request> request = waiting_[turn];
    const int cached = request->tree().use_cached_prefix();
    if (awaits_prefix(*request)) {
      request->tree().release_blocks();
      ++turn;
      continue;
    }
    while (!fits(*request)) {
      // Only a more important request takes what others hold.
      const auto last = std::max_element(
          running_.begin(), running_.end(),
          [](const auto& a, const auto& b) { return before(*a, *b); });
      if (last == running_.end() || (*last)->spec().priority >= request->spec().priority) {
        request->tree().release_blocks();
        return;
      }
      preempt(**last);
    }
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(turn));
    if (request->start(cached, events)) {
      const Usage& usage = request->usage();
      counters_.prompt_tokens += static_cast<std::uint64_t>(usage.prompt_tokens);
      counters_.cached_tokens += static_cast<std::uint64_t>(usage.cached_tokens);
    }
    request->running = true;
    running_.push_back(request);
  }
}

/// Its KV goes; what it wrote stays, and is filled again when its turn comes.
void Scheduler::preempt(Request& request) {
  ++counters_.preemptions;
  request.tree().release_blocks();
  request.running = false;
  const auto at = std::find_if(running_.begin(), running_.end(),
                               [&](const auto& other) { return other.get() == &request; });
  queue(std::move(*at));
  running_.erase(at);
}

// ---- one step ------------------------------------------------------------------------------------

/// KV for the next rows of `request`. Where there is too little, the last in turn gives way: others
/// that have no rows in this step yet, or the request itself.
bool Scheduler::make_room(Request& request, int allowance) {
  while (request.tree().blocks_needed(allowance) > pool_.free()) {
    Request* last = &request;
    bool junior_in_batch = false;
    for (const auto& other : running_) {
      if (!before(request, *other)) continue;
      if (other->last_step == counters_.steps + 1) junior_in_batch = true;
      else if (before(*last, *other)) last = other.get();
    }
    if (last == &request && junior_in_batch) return false;  // it goes first in the next step
    preempt(*last);
    if (last == &request) return false;
  }
  return true;
}

int Scheduler::take(Request& request, int allowance) {
  const int added = request.add_rows(batch_, allowance);
  if (added == 0) return 0;
  request.last_step = counters_.steps + 1;
  in_batch_.push_back(request.shared_from_this());
  return added;
}

void Scheduler::build() {
  batch_.clear();
  in_batch_.clear();
  const int most = backend_.max_rows();
  // Those that found no room in the last step go first. Who is preempted meanwhile stays alive here.
  auto turns = running_;
  std::stable_sort(turns.begin(), turns.end(),
                   [](const auto& a, const auto& b) { return a->last_step < b->last_step; });
  // Decode rows: a request's live lanes advance together or not at all, except that more openings
  // than a whole batch are forwarded over several steps.
  int room = most;
  for (auto& request : turns) {
    if (!request->running || request->tree().pending_prefill() > 0) continue;
    const int wanted = request->tree().rows_needed();
    if (wanted > room && (wanted <= most || room < most)) continue;
    if (make_room(*request, room)) room -= take(*request, room);
  }
  const int decoding = most - room;
  counters_.decode_rows += static_cast<std::uint64_t>(decoding);
  int prefill = std::min(room, options_.prefill_rows);
  if (decoding > 0) prefill = step_time_.prefill_rows_beside_decoding(prefill);
  const int scores = backend_.config().vocabulary > 8192 ? kScoreRows : most;
  for (auto& request : turns) {
    if (prefill <= 0) break;
    if (!request->running || request->tree().pending_prefill() == 0) continue;
    const int allowance = request->scorer ? std::min(prefill, scores) : prefill;
    if (!make_room(*request, allowance)) continue;
    const int added = take(*request, allowance);
    counters_.prefill_rows += static_cast<std::uint64_t>(added);
    prefill -= added;
  }
}

void Scheduler::step(EventBuffer& events) {
  const auto began = StepTimeEstimator::Clock::now();
  const std::uint64_t decoded = counters_.decode_rows;
  const std::uint64_t prefilled = counters_.prefill_rows;
  end_overdue(events);
  retire(events);
  admit(events);
  build();
  if (!batch_.rows.empty()) {
    backend_.forward(batch_);
    ++counters_.steps;
    counters_.bytes_read += static_cast<double>(backend_.weight_bytes() + backend_.kv_bytes());
    // Once, and again for those that wrote what was guessed.
    while (!in_batch_.empty()) {
      std::vector<SamplingRow> picks;
      for (const auto& request : in_batch_) request->ask(backend_, picks, events);
      const std::vector<SampledToken> chosen = backend_.sample(picks);
      std::erase_if(in_batch_, [&](const auto& request) { return !request->advance(chosen, events); });
    }
    retire(events);
    const double took =
        std::chrono::duration<double>(StepTimeEstimator::Clock::now() - began).count();
    const int decode_rows = static_cast<int>(counters_.decode_rows - decoded);
    const int prefill_rows = static_cast<int>(counters_.prefill_rows - prefilled);
    step_time_.stepped(decode_rows, prefill_rows, took);
    if (prefill_rows == 0) {
      ++counters_.decode_steps;
      counters_.decode_seconds += took;
    } else {
      counters_.prefill_seconds += took;
    }
  }
  if (options_.validate) {
    std::vector<const Request*> all;
    for (const auto& request : waiting_) all.push_back(request.get());
    for (const auto& request : running_) all.push_back(request.get());
    if (auto wrong = broken_invariant(pool_, all); !wrong.empty()) {
      throw Error(ErrorCode::kInternal, "invariant broken: " + wrong);
    }
  }
}

LoadSnapshot Scheduler::load() const {
  LoadSnapshot load = counters_;
  load.running = static_cast<int>(running_.size());
  load.queued = static_cast<int>(waiting_.size());
  for (const auto& request : running_) load.live_lanes += request->tree().live_lanes();
  load.kv_free = pool_.free();
  load.kv_cached = pool_.cached();
  load.kv_total = pool_.total();
  load.queue_wait_seconds = step_time_.wait_seconds(load.queued + 1);
  return load;
}

}  // namespace anabranch
