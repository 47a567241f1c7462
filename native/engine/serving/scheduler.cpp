#include "serving/scheduler.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "dialect/dialect_policy.h"
#include "dialect/script_policy.h"
#include "grammar/grammar_policy.h"
#include "error.h"
#include "outline/outline_policy.h"
#include "serving/invariants.h"

namespace anabranch {
namespace {

/// The order of admission and of scheduling. If KV runs out, the last request in it is preempted.
bool goes_before(const Request& a, const Request& b) {
  if (a.spec().priority != b.spec().priority) return a.spec().priority > b.spec().priority;
  return a.arrival < b.arrival;
}

/// Maximum score rows per step for large vocabularies, because each row has logits.
constexpr int kMaxScoreRows = 64;
constexpr int kLargeVocabulary = 8192;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

/// Whether the answer is the base's: its adapter teaches to branch, and it can't.
bool is_of_base(const RequestSpec& spec) {
  const auto& adapter = spec.adapter;
  return adapter && adapter->dialect && adapter->dialect->serial_from_base && !spec.parallel &&
         spec.script.empty();
}

}  // namespace

Scheduler::Scheduler(Backend& backend, std::optional<Dialect> dialect, SchedulerOptions options,
                     std::shared_ptr<const OutlineRules> outline,
                     std::shared_ptr<const TokenTrie> trie)
    : backend_(backend),
      dialect_(std::move(dialect)),
      outline_(std::move(outline)),
      grammars_(std::move(trie)),
      options_(options),
      pool_(backend.total_blocks()),
      branches_(options.branches) {
  if (options_.prefill_rows == 0) options_.prefill_rows = backend.prefill_rows();
}

// ---- new requests ------------------------------------------------------------------------------

RequestLimits Scheduler::limits_of(const ServedAdapterPtr& adapter) const {
  const ModelConfig& config = backend_.config();
  return {adapter ? adapter->weights.vocabulary : config.vocabulary, config.context, pool_.total()};
}

std::shared_ptr<Request> Scheduler::make(RequestSpec spec) {
  if (is_of_base(spec)) spec.adapter = nullptr;
  // An adapter's own dialect, or the model's; the request keeps the adapter.
  const auto& chosen = spec.adapter && spec.adapter->dialect ? spec.adapter->dialect : dialect_;
  const Dialect* dialect = chosen ? &*chosen : nullptr;
  validate_request(spec, limits_of(spec.adapter), dialect);
  auto request = std::make_shared<Request>(std::move(spec), pool_);
  request->policy = policy_of(request->spec(), dialect);
  request->replay();
  return request;
}

std::unique_ptr<DecodingPolicy> Scheduler::policy_of(const RequestSpec& spec,
                                                     const Dialect* dialect) {
  if (!spec.script.empty()) return make_script_policy(spec);
  if (!spec.grammar.empty()) {
    return make_grammar_policy(spec, grammars_.get(spec.grammar), backend_.config().eos);
  }
  const bool outlined = !dialect && outline_ && spec.parallel && spec.max_branches != 1 &&
                        outlined_blocks(spec, *outline_) <= static_cast<size_t>(pool_.total());
  const ModelConfig& config = backend_.config();
  if (outlined) return make_outline_policy(spec, outline_, config.eos, config.context);
  return make_dialect_policy(spec, dialect, config.eos, outline_ ? outline_->texts : nullptr);
}

std::shared_ptr<Request> Scheduler::make_score(std::uint32_t id, std::vector<StructureRun> runs,
                                               ResumeRule resume, ScoreWanted wanted,
                                               ServedAdapterPtr adapter,
                                               std::promise<Score> promise) {
  const RequestLimits limits = limits_of(adapter);
  check_structure(runs, limits.vocabulary, limits.context);
  if (blocks_of(runs) > static_cast<size_t>(pool_.total())) {
    throw Error(ErrorCode::kOutOfRange, "scoring needs " + std::to_string(blocks_of(runs)) +
                                            " KV blocks; this engine has " +
                                            std::to_string(pool_.total()));
  }
  RequestSpec spec;
  spec.id = id;
  spec.prompt = runs;
  spec.resume = resume;
  spec.adapter = std::move(adapter);
  auto request = std::make_shared<Request>(std::move(spec), pool_);
  request->scorer = make_scorer(std::move(runs), limits.vocabulary, wanted, std::move(promise));
  return request;
}

void Scheduler::submit(std::vector<std::shared_ptr<Request>> group) {
  const std::uint64_t first = arrivals_ + 1;
  for (auto& request : group) {
    request->arrival = ++arrivals_;
    request->group = first;
    enqueue(std::move(request));
  }
}

void Scheduler::enqueue(std::shared_ptr<Request> request) {
  const auto at =
      std::upper_bound(waiting_.begin(), waiting_.end(), request,
                       [](const auto& a, const auto& b) { return goes_before(*a, *b); });
  waiting_.insert(at, std::move(request));
}

void Scheduler::cancel(std::uint32_t id) {
  const auto cancel_in = [&](auto& requests) {
    for (auto& request : requests) {
      if (request->spec().id != id || request->finished()) continue;
      if (request->scorer && id == 0) continue;
      if (request->scorer) request->scorer->cancel();
      request->finish(FinishReason::kCancelled);
    }
  };
  cancel_in(waiting_);
  cancel_in(running_);
}

void Scheduler::cancel_all() {
  for (auto& request : waiting_) request->finish(FinishReason::kCancelled);
  for (auto& request : running_) request->finish(FinishReason::kCancelled);
}

void Scheduler::drop_all() {
  waiting_.clear();
  running_.clear();
  in_batch_.clear();
}

// ---- admission and retirement ------------------------------------------------------------------

void Scheduler::emit_finished(Request& request, EventBuffer& events) {
  ++counters_.finished;
  if (request.scorer) return;
  // A request whose log is a complete answer finishes without ever running.
  const FinishReason reason = request.finish_reason();
  if (reason == FinishReason::kStop || reason == FinishReason::kLength)
    request.emit_start(0, events);
  if (request.start_emitted()) request.policy->release_held(request, events);
  events.add_finished(request.spec().id, reason, request.usage());
}

void Scheduler::expire(EventBuffer& events) {
  const auto now = QueueWait::Clock::now();
  for (auto& request : running_) {
    if (request->expired(now)) request->finish(FinishReason::kDeadline);
  }
  std::erase_if(waiting_, [&](auto& request) {
    if (request->expired(now)) request->finish(FinishReason::kDeadline);
    if (!request->finished()) return false;
    emit_finished(*request, events);
    return true;
  });
}

void Scheduler::retire(EventBuffer& events) {
  std::erase_if(running_, [&](auto& request) {
    if (!request->finished()) return false;
    emit_finished(*request, events);
    const auto left = running_.size() + waiting_.size() - 1;
    queue_wait_.record_finish(QueueWait::Clock::now(), static_cast<int>(left));
    return true;
  });
}

Room Scheduler::room() const {
  Room out{pool_.times_freed() - freed_by_trying_, running_.size(), 0, 0};
  for (const auto& request : running_) {
    out.lanes += request->tree().live_lanes();
    out.pending += request->tree().blocks_needed(INT_MAX);
  }
  return out;
}

/// Whether there is KV for everything the request must compute and, if others are running, one more
/// block for each lane: a request that only just fits would be preempted at once. `freed` blocks
/// are free as well.
bool Scheduler::fits(Request& request, const Room& room, int freed) const {
  if (static_cast<int>(room.running) >= options_.max_running) return false;
  int blocks = request.tree().blocks_needed(INT_MAX);
  if (room.running > 0) blocks += request.tree().live_lanes() + room.lanes + room.pending;
  return blocks <= pool_.free() + freed;
}

/// Preempts requests of lower priority, the last in order first, if the request then fits; else
/// none.
bool Scheduler::preempt_for(Request& request) {
  std::vector<Request*> juniors;
  for (const auto& other : running_) {
    if (other->spec().priority < request.spec().priority) juniors.push_back(other.get());
  }
  std::sort(juniors.begin(), juniors.end(),
            [](const Request* a, const Request* b) { return goes_before(*b, *a); });
  Room left = room();
  std::unordered_map<int, std::uint32_t> references;  // of the juniors so far, by block
  int freed = 0;
  for (size_t i = 0; i < juniors.size(); ++i) {
    const LaneTree& tree = juniors[i]->tree();
    tree.for_each_block(
        [&](int block) { freed += ++references[block] == pool_.references(block); });
    --left.running;
    left.lanes -= tree.live_lanes();
    left.pending -= tree.blocks_needed(INT_MAX);
    if (!fits(request, left, freed)) continue;
    for (size_t junior = 0; junior <= i; ++junior) preempt(*juniors[junior]);
    return true;
  }
  return false;
}

/// Whether a running request is computing this block.
bool Scheduler::will_publish(const PrefixKey& key) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const auto& request) { return request->tree().will_publish(key); });
}

/// Whether nothing has changed since the request could not start.
bool Scheduler::still_waits(const Request& request) const {
  const Request::Waiting& waiting = request.waiting;
  return (waiting.awaited && will_publish(*waiting.awaited)) ||
         (waiting.no_room && room().is_no_larger_than(*waiting.no_room));
}

/// Whether the request can start now. If it can, it has taken what the prefix cache has for it, and
/// `cached` is the number of those tokens.
bool Scheduler::can_start(Request& request, int& cached) {
  if (still_waits(request)) return false;
  cached = request.tree().use_cached_prefix();
  const auto give_up = [&] {
    const std::uint64_t before = pool_.times_freed();
    request.tree().release_blocks();
    freed_by_trying_ += pool_.times_freed() - before;
    return false;
  };
  // If a running request is computing the block that this one would compute next, waiting for it
  // turns that block into a prefix-cache hit.
  request.waiting.awaited = request.tree().next_key();
  if (request.waiting.awaited && will_publish(*request.waiting.awaited)) return give_up();
  request.waiting.awaited.reset();
  if (fits(request, room(), 0) || preempt_for(request)) return true;
  give_up();
  request.waiting.no_room = room();
  return false;
}

/// Starts waiting requests in their order. One that does not fit lets those after it pass that do,
/// but only so many.
void Scheduler::admit(EventBuffer& events) {
  constexpr int kMaxOvertaken = 32;
  std::vector<Request*> overtaken;  // those before `next` that do not fit
  for (size_t next = 0; next < waiting_.size();) {
    const std::shared_ptr<Request> request = waiting_[next];
    if (!branches_.admits(*request, running_, step_time_)) return;
    int cached = 0;
    if (!can_start(*request, cached)) {
      if (static_cast<int>(running_.size()) >= options_.max_running) return;
      if (request->waiting.no_room) overtaken.push_back(request.get());
      ++next;
    } else {
      for (Request* ahead : overtaken) ++ahead->waiting.overtaken;
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(next));
      start(*request, cached, events);
    }
    if (std::any_of(overtaken.begin(), overtaken.end(), [](const Request* ahead) {
          return ahead->waiting.overtaken >= kMaxOvertaken;
        })) {
      return;
    }
  }
}

void Scheduler::start(Request& request, int cached, EventBuffer& events) {
  request.waiting = {};
  if (request.start(cached, events)) {
    const Usage& usage = request.usage();
    counters_.prompt_tokens += static_cast<std::uint64_t>(usage.prompt_tokens);
    counters_.cached_tokens += static_cast<std::uint64_t>(usage.cached_tokens);
  }
  running_.push_back(request.shared_from_this());
}

void Scheduler::preempt(Request& request) {
  ++counters_.preemptions;
  request.preempt();
  const auto at = std::find_if(running_.begin(), running_.end(),
                               [&](const auto& other) { return other.get() == &request; });
  enqueue(std::move(*at));
  running_.erase(at);
}

// ---- one step ----------------------------------------------------------------------------------

/// Makes sure that KV for the request's next rows is free. If it is not, the last request in order
/// is preempted: one that has no rows in this step yet, or the request itself.
bool Scheduler::free_blocks_for(Request& request, int allowance) {
  while (request.tree().blocks_needed(allowance) > pool_.free()) {
    Request* last = &request;
    bool junior_in_batch = false;
    for (const auto& other : running_) {
      if (!goes_before(request, *other)) continue;
      if (other->last_step == counters_.steps + 1)
        junior_in_batch = true;
      else if (goes_before(*last, *other))
        last = other.get();
    }
    if (last == &request && junior_in_batch) return false;  // it goes first in the next step
    preempt(*last);
    if (last == &request) return false;
  }
  return true;
}

/// Adds the request's rows to the batch. Returns their number.
int Scheduler::add_to_batch(Request& request, int allowance) {
  const int added = request.add_rows(batch_, allowance);
  if (added == 0) return 0;
  request.last_step = counters_.steps + 1;
  in_batch_.push_back(request.shared_from_this());
  return added;
}

/// Returns the work of the batch.
StepWork Scheduler::build_batch() {
  batch_.clear();
  in_batch_.clear();
  // Every decode row needs logits.
  const int max_logits_rows = backend_.max_logits_rows();
  const int max_decode_rows = std::min(backend_.max_rows(), max_logits_rows);
  // Requests that had no rows in the last step go first. This copy also keeps preempted requests
  // alive.
  auto order = running_;
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a->last_step < b->last_step; });
  int pending = 0;
  for (const auto& request : order) pending += request->tree().pending_prefill();
  auto [selected, work, longest] =
      branches_.select(order, max_decode_rows, pending, options_.prefill_rows, step_time_);
  int room = max_decode_rows;
  for (const auto& request : selected) {
    if (request->running() && free_blocks_for(*request, room)) room -= add_to_batch(*request, room);
  }
  work.decode_rows = max_decode_rows - room;
  counters_.decode_rows += static_cast<std::uint64_t>(work.decode_rows);
  int prefill = std::min(backend_.max_rows() - work.decode_rows, options_.prefill_rows);
  if (work.decode_rows > 0) prefill = step_time_.max_prefill_rows(work, prefill, longest);
  const int max_score_rows =
      backend_.config().vocabulary > kLargeVocabulary ? kMaxScoreRows : max_logits_rows;
  for (auto& request : order) {
    const int logits_room = max_logits_rows - batch_.logits_rows;
    if (prefill <= 0 || logits_room <= 0) break;
    if (!request->running() || request->tree().pending_prefill() == 0) continue;
    const int allowance =
        request->scorer ? std::min({prefill, max_score_rows, logits_room}) : prefill;
    if (!free_blocks_for(*request, allowance)) continue;
    const int added = add_to_batch(*request, allowance);
    counters_.prefill_rows += static_cast<std::uint64_t>(added);
    work.prefill_rows += added;
    prefill -= added;
  }
  return work;
}

void Scheduler::step(EventBuffer& events) {
  const auto began = Clock::now();
  expire(events);
  retire(events);
  admit(events);
  const StepWork work = build_batch();
  if (!batch_.rows.empty()) {
    const double computing = run_batch(events);
    retire(events);
    const double seconds = seconds_since(began);
    counters_.scheduling_seconds += seconds - computing;
    count_step(work, seconds);
  }
  if (options_.validate) check_invariants();
}

/// Runs the forward pass, then samples and advances the requests, once more for each accepted draft
/// token. Returns the seconds that the backend took.
double Scheduler::run_batch(EventBuffer& events) {
  auto began = Clock::now();
  backend_.forward(batch_);
  double computing = seconds_since(began);
  ++counters_.steps;
  counters_.bytes_read += static_cast<double>(backend_.weight_bytes() + backend_.kv_bytes());
  while (!in_batch_.empty()) {
    std::vector<SamplingRow> rows;
    for (const auto& request : in_batch_) request->add_sampling_rows(backend_, rows, events);
    began = Clock::now();
    const std::vector<SampledToken> sampled = backend_.sample(rows);
    computing += seconds_since(began);
    std::erase_if(in_batch_,
                  [&](const auto& request) { return !request->advance(sampled, events); });
  }
  return computing;
}

void Scheduler::count_step(const StepWork& work, double seconds) {
  const double predicted = step_time_.seconds(work);
  if (predicted > 0) {
    counters_.predicted_seconds += predicted;
    counters_.misprediction_seconds += std::abs(seconds - predicted);
  }
  step_time_.record(work, seconds);
  counters_.context_tokens = work.kv_tokens;
  if (work.prefill_rows == 0) {
    ++counters_.decode_steps;
    counters_.decode_seconds += seconds;
  } else {
    counters_.prefill_seconds += seconds;
  }
}

void Scheduler::check_invariants() const {
  std::vector<const Request*> all;
  for (const auto& request : waiting_) all.push_back(request.get());
  for (const auto& request : running_) all.push_back(request.get());
  if (auto broken = broken_invariant(pool_, all); !broken.empty()) {
    throw Error(ErrorCode::kInternal, "invariant broken: " + broken);
  }
}

LoadSnapshot Scheduler::load() const {
  LoadSnapshot load = counters_;
  load.running = static_cast<int>(running_.size());
  load.queued = static_cast<int>(waiting_.size());
  for (const auto& request : running_) {
    load.live_lanes += request->tree().live_lanes();
    load.pending_prefill += request->tree().pending_prefill();
  }
  for (const auto& request : waiting_) load.pending_prefill += request->tree().pending_prefill();
  if (running_.empty()) load.context_tokens = 0;
  load.step_costs = step_time_.costs();
  load.kv_free = pool_.free();
  load.kv_cached = pool_.cached();
  load.kv_total = pool_.total();
  load.held_lanes = branches_.held_lanes();
  load.queue_wait_seconds = queue_wait_.seconds(load.queued + 1);
  return load;
}

}  // namespace anabranch
