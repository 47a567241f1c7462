#include "fuzz/engine_session.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "error.h"
#include "fuzz/random_requests.h"

namespace anabranch {

EngineSession::EngineSession(const EngineOptions& options, const ModelShape& shape, int requests,
                             Dice& dice)
    : shape_(shape), dice_(dice), whole_steps_(options.backend.max_rows >= 64), left_(requests) {
  engine_ = std::make_unique<Engine>(
      options, [this](std::vector<std::uint32_t> words) { on_events(words); },
      [this](std::string message) { on_fault(message); });
}

void EngineSession::load_adapter(const std::string& path) {
  const std::string name = std::to_string(adapters_.size());
  AdapterSource source;
  source.name = name;
  source.path = path;
  engine_->load_adapter(source);
  adapters_.push_back(engine_->adapter(name));
}

ServedAdapterPtr EngineSession::random_adapter() {
  return adapters_.empty() || dice_.chance(50) ? nullptr : dice_.pick(adapters_);
}

std::string EngineSession::run() {
  {
    std::unique_lock lock(mutex_);
    while (left_ > 0 && live_.empty()) submit();
    const auto limit = std::chrono::minutes(2);
    if (!done_.wait_for(lock, limit, [&] { return faulted_ || (live_.empty() && left_ == 0); })) {
      std::printf("\nFAIL a request never finished\n");
      std::_Exit(1);
    }
  }
  engine_->close();
  const LoadSnapshot load = engine_->load();
  if (load.kv_free != load.kv_total) fail("KV blocks are missing at the end");
  if (load.running + load.queued != 0) fail("requests are left at the end");
  for (auto& score : scores_) {
    try {
      score.get();
    } catch (const std::future_error&) {  // the engine closed first
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInternal) fail(error.what());
    }
  }
  return wrong_;
}

void EngineSession::on_fault(const std::string& message) {
  fail("fault: " + message);
  std::lock_guard lock(mutex_);
  faulted_ = true;
  done_.notify_all();
}

// ---- calls -------------------------------------------------------------------------------------

void EngineSession::submit() {
  --left_;
  Transcript transcript;
  if (!live_.empty() && dice_.chance(30) && live_.begin()->second.spec.script.empty()) {
    // Continues an answer from its log, as another engine would.
    const auto at = live_.begin();
    transcript = at->second;
    transcript.first = transcript.first ? transcript.first : at->first;
    transcript.started = false;
    transcript.spec.log.clear();
    for (const auto& [lane, log] : transcript.lanes) transcript.spec.log.push_back(log);
  } else {
    transcript.spec = random_request(next_id_, shape_, dice_);
    transcript.spec.adapter = random_adapter();
  }
  transcript.spec.id = next_id_++;
  // If openings take several batches, a log may end within a step, which a request may not.
  const bool sound =
      transcript.first && transcript.first != kUnknownAnswer && whole_steps_ && !dice_.chance(30);
  if (transcript.first && !sound) break_log(transcript);
  try {
    engine_->submit(transcript.spec);
    live_[transcript.spec.id] = std::move(transcript);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) fail(error.what());
    if (sound && error.code() != ErrorCode::kResourceExhausted) {
      fail(std::string("a log was refused: ") + error.what());
    }
  } catch (const std::exception& error) {
    fail(std::string("submit: ") + error.what());
  }
}

void EngineSession::break_log(Transcript& transcript) {
  auto& log = transcript.spec.log;
  if (log.empty()) log.emplace_back();
  LoggedLane& lane = log[dice_.below(static_cast<int>(log.size()))];
  switch (dice_.below(6)) {
    case 0:
      lane.lane = dice_.pick<int>({-1, 0, 1, 2, INT_MAX, INT_MIN});
      break;
    case 1:
      lane.closed = dice_.pick<CloseReason>({CloseReason::kMarker, CloseReason::kCap});
      break;
    case 2:
      lane.tokens.push_back(random_token(shape_, dice_));
      break;
    case 3:
      lane.tokens.resize(lane.tokens.size() / 2);
      break;
    case 4:
      lane.tokens = random_tokens(shape_, 20, dice_);
      break;
    case 5:
      log.push_back(lane);
      break;
  }
  transcript.first = kUnknownAnswer;
}

void EngineSession::make_calls() {
  while (left_ > 0 && (live_.empty() || dice_.chance(40))) submit();
  if (dice_.chance(10)) engine_->cancel(static_cast<std::uint32_t>(dice_.below(next_id_ + 1)));
  if (!dice_.chance(5)) return;
  try {
    const ScoreWanted wanted = {.logits = dice_.chance(50), .top_logprobs = dice_.below(4)};
    const std::uint32_t id = dice_.chance(50) ? next_id_++ : 0;
    scores_.push_back(engine_->score(random_structure(shape_, dice_), ResumeRule::kSum, wanted,
                                     random_adapter(), id));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) fail(error.what());
  }
}

// ---- events ------------------------------------------------------------------------------------

void EngineSession::on_events(const std::vector<std::uint32_t>& words) {
  std::lock_guard lock(mutex_);
  size_t at = 0;
  while (at + 3 <= words.size()) {
    const size_t length = words[at + 2];
    if (at + 3 + length > words.size()) return fail("an event is cut off");
    const auto found = live_.find(words[at + 1]);
    if (found == live_.end()) return fail("an event of a request that is not live");
    check_event(static_cast<EventKind>(words[at]), std::span(words).subspan(at + 3, length),
                found->second);
    if (words[at] == static_cast<std::uint32_t>(EventKind::kFinished)) {
      compare_with_first_run(found->second, static_cast<FinishReason>(words[at + 3]));
      live_.erase(found);
    }
    at += 3 + length;
  }
  make_calls();
  if (live_.empty() && left_ == 0) done_.notify_all();
}

void EngineSession::check_event(EventKind kind, std::span<const std::uint32_t> words,
                                Transcript& transcript) {
  const auto lane = [&](std::uint32_t id) -> LoggedLane& {
    LoggedLane& out = transcript.lanes[static_cast<int>(id)];
    out.lane = static_cast<int>(id);
    return out;
  };
  const bool known = transcript.first != kUnknownAnswer;  // a broken log may say anything
  switch (kind) {
    case EventKind::kStarted:
      if (transcript.started) fail("started twice");
      transcript.started = true;
      transcript.tokens = transcript.open_branches = transcript.visible = 0;
      transcript.hidden.clear();
      transcript.visible_of.clear();
      transcript.lanes.clear();  // the log's tokens are emitted again
      break;
    case EventKind::kToken:
      if (!transcript.started) fail("a token before the start");
      if (known && lane(words[0]).closed) fail("a token after its branch was closed");
      lane(words[0]).tokens.push_back(static_cast<int>(words[1]));
      ++transcript.tokens;
      transcript.visible += (words[2] & EmittedToken::kVisible) != 0;
      transcript.visible_of[words[0]] += (words[2] & EmittedToken::kVisible) != 0;
      transcript.hidden[words[0]] += (words[2] & EmittedToken::kVisible) == 0;
      break;
    case EventKind::kStageOpened:
      transcript.open_branches = static_cast<int>(words[2]);
      outlines_.stages += static_cast<int>(words[1]);
      break;
    case EventKind::kBranchAccepted:
      lane(words[0]).accepted = true;
      ++outlines_.accepted;
      break;
    case EventKind::kBranchClosed: {
      const auto reason = static_cast<CloseReason>(words[1]);
      // A branch that is dropped may have ended before.
      const bool again = reason == CloseReason::kDropped && lane(words[0]).closed;
      if (!again && --transcript.open_branches < 0 && known)
        fail("more branches close than opened");
      if (reason == CloseReason::kDropped) {
        ++outlines_.dropped;
        if (lane(words[0]).accepted && known) fail("an accepted branch is dropped");
        transcript.visible -= std::exchange(transcript.visible_of[words[0]], 0);
      }
      lane(words[0]).closed = reason;
      break;
    }
    case EventKind::kStageClosed:
      if (transcript.open_branches != 0 && known) fail("a stage closes with open branches");
      break;
    case EventKind::kFinished:
      check_finished(words.data(), transcript);
      break;
    case EventKind::kReleased:
      for (size_t at = 1; at < words.size(); at += words[at + 1] & EmittedToken::kLogprobs
                                                       ? 4 + 2 * static_cast<size_t>(words[at + 3])
                                                       : 2) {
        if (--transcript.hidden[words[0]] < 0) fail("more tokens are released than were hidden");
        ++transcript.visible;
        ++transcript.visible_of[words[0]];
      }
      break;
    case EventKind::kLogits:
      break;
  }
}

void EngineSession::check_finished(const std::uint32_t* words, Transcript& transcript) {
  const bool known = transcript.first != kUnknownAnswer;
  if (known && transcript.started && static_cast<int>(words[2]) != transcript.tokens) {
    fail("the usage differs from the emitted tokens");
  }
  if (transcript.started && static_cast<int>(words[3]) != transcript.visible) {
    fail("the usage differs from the visible tokens");
  }
  // Titles and dropped items come on top, and so do the marks with which the trunk ends its items.
  const int outline = static_cast<int>(words[8]), dropped = static_cast<int>(words[9]);
  const int bounded = outline > 0 ? transcript.visible : transcript.tokens - dropped;
  if (known && transcript.spec.script.empty() &&
      bounded > std::max(0, transcript.spec.max_tokens)) {
    fail("more tokens than max_tokens");
  }
}

/// A continued answer must equal the answer of the first run.
void EngineSession::compare_with_first_run(const Transcript& transcript, FinishReason reason) {
  if (transcript.first == kUnknownAnswer) return;
  if (reason != FinishReason::kStop && reason != FinishReason::kLength) return;
  LaneTokens lanes;
  for (const auto& [id, lane] : transcript.lanes) lanes[id] = lane.tokens;
  const auto [known, is_first] =
      answers_.try_emplace(transcript.first ? transcript.first : transcript.spec.id, lanes);
  if (!is_first && known->second != lanes) {
    fail("request " + std::to_string(transcript.spec.id) + " continues differently from request " +
         std::to_string(known->first));
  }
}

}  // namespace anabranch
