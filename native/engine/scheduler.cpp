#include "scheduler.h"

#include <algorithm>

#include "dialect_guide.h"
#include "error.h"
#include "invariants.h"
#include "score.h"
#include "script_guide.h"

namespace anabranch {
namespace {

int blocks_for(size_t tokens) {
  return static_cast<int>((tokens + kBlockTokens - 1) / kBlockTokens);
}

}  // namespace

Scheduler::Scheduler(Backend& backend, std::optional<Dialect> dialect, SchedulerOptions options)
    : backend_(backend),
      dialect_(std::move(dialect)),
      options_(options),
      pool_(backend.total_blocks()) {}

int Scheduler::check(RequestSpec& spec) const {
  const ModelConfig& config = backend_.config();
  if (spec.prompt.empty()) throw bad_argument("the prompt is empty");
  for (int token : spec.prompt) {
    if (token < 0 || token >= config.vocabulary) {
      throw bad_argument("token id " + std::to_string(token) + " is outside the vocabulary of " +
                         std::to_string(config.vocabulary));
    }
  }
  for (int token : spec.stop_tokens) {
    if (token < 0 || token >= config.vocabulary) {
      throw bad_argument("stop token id " + std::to_string(token) + " is outside the vocabulary");
    }
  }
  for (const auto& [token, bias] : spec.sampling.logit_bias) {
    if (token < 0 || token >= config.vocabulary) {
      throw bad_argument("logit_bias names token id " + std::to_string(token) +
                         ", outside the vocabulary");
    }
  }
  int blocks = 0;
  if (!spec.script.empty()) {
    check_structure(spec.script, config.vocabulary, config.context);
    if (spec.script[0].parallel || spec.script[0].tokens[0].size() < spec.prompt.size()) {
      throw bad_argument("a script begins with a serial run that begins with the prompt");
    }
    size_t total = 0;
    for (const auto& run : spec.script) {
      for (const auto& tokens : run.tokens) {
        total += tokens.size();
        blocks += blocks_for(tokens.size()) + 1;
      }
    }
    spec.max_tokens = static_cast<int>(total);
  } else {
    const int room = config.context - static_cast<int>(spec.prompt.size());
    if (room < 1) {
      throw Error(ErrorCode::kOutOfRange,
                  "the prompt has " + std::to_string(spec.prompt.size()) +
                      " tokens; the model's context is " + std::to_string(config.context));
    }
    if (spec.max_tokens < 1) throw bad_argument("max_tokens must be at least 1");
    spec.max_tokens = std::min(spec.max_tokens, room);
    // Every segment may leave its last block partly filled; a branch writes at least its opening
    // and its end, so there are at most a quarter as many segments as tokens.
    int segments = 1;
    if (dialect_ && spec.parallel) {
      segments += std::min(dialect_->max_stages * (dialect_->max_branches + 2),
                           spec.max_tokens / 4 + 2);
    }
    blocks = blocks_for(spec.prompt.size() + spec.max_tokens) + segments;
  }
  if (blocks > pool_.total()) {
    throw Error(ErrorCode::kOutOfRange,
                "prompt and max_tokens may need " + std::to_string(blocks) + " KV blocks of " +
                    std::to_string(kBlockTokens) + " tokens; this engine has " +
                    std::to_string(pool_.total()));
  }
  return blocks;
}

void Scheduler::submit(RequestSpec spec, int blocks) {
  auto request = std::make_unique<Request>(std::move(spec), pool_);
  request->reserved_blocks = blocks;
  request->guide = request->spec().script.empty()
                       ? make_dialect_guide(request->spec(), dialect_ ? &*dialect_ : nullptr,
                                            backend_.config().eos)
                       : make_script_guide(request->spec());
  waiting_.push_back(std::move(request));
}

void Scheduler::cancel(std::uint32_t id) {
  const auto same = [&](const auto& request) { return request->spec().id == id; };
  for (auto& request : waiting_) {
    if (same(request)) request->finish(FinishReason::kCancelled);
  }
  for (auto& request : running_) {
    if (same(request)) request->finish(FinishReason::kCancelled);
  }
}

void Scheduler::cancel_all() {
  for (auto& request : waiting_) request->finish(FinishReason::kCancelled);
  for (auto& request : running_) request->finish(FinishReason::kCancelled);
}

void Scheduler::end_overdue(Events& events) {
  const auto now = std::chrono::steady_clock::now();
  for (auto& request : running_) {
    if (request->expired(now)) request->finish(FinishReason::kDeadline);
  }
  std::erase_if(waiting_, [&](auto& request) {
    if (request->expired(now)) request->finish(FinishReason::kDeadline);
    if (!request->finished()) return false;
    events.finished(request->spec().id, request->reason(), request->usage());
    return true;
  });
}

void Scheduler::admit(Events& events) {
  while (!waiting_.empty() && static_cast<int>(running_.size()) < options_.max_running &&
         pool_.reserve(waiting_.front()->reserved_blocks)) {
    auto request = std::move(waiting_.front());
    waiting_.pop_front();
    events.add(EventKind::kStarted, request->spec().id,
               {static_cast<std::uint32_t>(request->usage().prompt_tokens),
                static_cast<std::uint32_t>(request->usage().cached_tokens)});
    running_.push_back(std::move(request));
  }
}

void Scheduler::build() {
  batch_.clear();
  in_batch_.clear();
  const int most = backend_.max_rows();
  int room = most;
  const auto take = [&](Request& request, int allowance) {
    const auto before = batch_.rows.size();
    request.add_rows(batch_, allowance);
    const int added = static_cast<int>(batch_.rows.size() - before);
    if (added > 0) in_batch_.push_back(&request);
    room -= added;
    return added;
  };
  // Decode rows first: a request's live lanes advance together or not at all, except that more
  // openings than a whole batch are forwarded over several.
  for (auto& request : running_) {
    if (request->in_prefill()) continue;
    const int wanted = request->tree().pending_rows();
    if (wanted <= room || (wanted > most && room == most)) {
      counters_.decode_rows += take(*request, room);
    }
  }
  int prefill = std::min(room, options_.prefill_rows);
  for (auto& request : running_) {
    if (!request->in_prefill() || prefill <= 0) continue;
    const int added = take(*request, prefill);
    counters_.prefill_rows += added;
    prefill -= added;
  }
}

void Scheduler::retire(Events& events) {
  std::erase_if(running_, [&](auto& request) {
    if (!request->finished()) return false;
    events.finished(request->spec().id, request->reason(), request->usage());
    pool_.unreserve(request->reserved_blocks);
    return true;
  });
}

void Scheduler::step(Events& events) {
  const auto began = std::chrono::steady_clock::now();
  const std::uint64_t prefilled = counters_.prefill_rows;
  end_overdue(events);
  retire(events);
  admit(events);
  build();
  if (!batch_.rows.empty()) {
    const auto vocabulary = backend_.config().vocabulary;
    logits_.resize(static_cast<size_t>(batch_.logits_rows) * vocabulary);
    backend_.forward(batch_, logits_.data());
    ++counters_.steps;
    for (Request* request : in_batch_) {
      request->advance(*request->guide, logits_.data(), vocabulary, events);
    }
    // Those that did not fit go first next time.
    std::stable_partition(running_.begin(), running_.end(), [&](const auto& request) {
      return std::find(in_batch_.begin(), in_batch_.end(), request.get()) == in_batch_.end();
    });
    retire(events);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    if (counters_.prefill_rows == prefilled) {
      ++counters_.decode_steps;
      counters_.decode_seconds += took.count();
    } else {
      counters_.prefill_seconds += took.count();
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
  load.kv_total = pool_.total();
  return load;
}

}  // namespace anabranch
