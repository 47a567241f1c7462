#include "serving/branch_schedule.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "error.h"

namespace anabranch {
namespace {

constexpr int kMaxCap = 4096;
/// Until the model knows what a row costs, slack mode tries one more row in every such step.
constexpr std::uint64_t kTrialSteps = 8;
/// What limits are held to be: predictions are wrong by about a tenth.
constexpr double kMargin = 0.9;
/// An answer that misses its limit so far makes up for it in so many steps, by at most this
/// part of one.
constexpr double kCatchUpSteps = 8, kMaxCatchUp = 0.3;
constexpr double kNoLimit = std::numeric_limits<double>::infinity();

using Mode = BranchScheduleOptions::Mode;

Lane& lane_of(Request& request, int lane) { return request.tree().lanes()[lane]; }

}  // namespace

BranchScheduleOptions branch_schedule_of(const std::string& text) {
  BranchScheduleOptions out;
  if (text.empty() || text == "eager") return out;
  if (text == "slack") {
    out.mode = Mode::kSlack;
    return out;
  }
  out.mode = Mode::kCap;
  if (text == "off") return out;
  const std::string prefix = "cap:";
  const char* end = text.data() + text.size();
  if (text.starts_with(prefix)) {
    const auto read = std::from_chars(text.data() + prefix.size(), end, out.cap);
    if (read.ec == std::errc() && read.ptr == end && out.cap >= 1 && out.cap <= kMaxCap) return out;
  }
  throw bad_argument("the branch schedule must be eager, off, slack or cap:N with N from 1 to " +
                     std::to_string(kMaxCap) + ", not \"" + text + "\"");
}

double BranchSchedule::limit_of(const Request& request) const {
  const double own = request.spec().max_time_per_token;
  const double limit = own > 0 ? own : options_.max_time_per_token;
  return limit > 0 ? kMargin * limit : kNoLimit;
}

bool BranchSchedule::admits(const Request& request,
                            const std::vector<std::shared_ptr<Request>>& running,
                            const StepTimeModel& model) const {
  const double limit = kMargin * options_.max_time_per_token;
  if (options_.mode != Mode::kSlack || limit <= 0 || request.scorer) return true;
  const auto kv_tokens = [](const Request& each) {
    return static_cast<double>(each.tree().lanes().front().segment->next_position());
  };
  StepWork work{1, 0, kv_tokens(request)};
  // A limit that it would miss alone can't be kept by waiting.
  if (model.seconds(work) > limit) return true;
  std::unordered_set<std::uint64_t> answers;
  for (const auto& each : running) {
    if (each->scorer || !answers.insert(each->group).second) continue;
    ++work.decode_rows;
    work.kv_tokens += kv_tokens(*each);
  }
  if (answers.contains(request.group)) return true;
  return model.seconds(work) <= limit;
}

double longest_step(double limit, int lanes, const Request::Progress& so_far) {
  if (limit == kNoLimit) return limit;
  const double ahead = limit * so_far.tokens - so_far.seconds;
  if (ahead >= 0) return limit * lanes + ahead;
  return limit * lanes - std::min(-ahead / kCatchUpSteps, kMaxCatchUp * limit * lanes);
}

double BranchSchedule::allowed_seconds(const Request& request, int lanes) const {
  return longest_step(limit_of(request), lanes, request.progress(now_));
}

/// A request whose limit the step misses even with no further lane holds none back: that would make
/// other answers slower, and not help its own.
class BranchSchedule::Bounds {
 public:
  explicit Bounds(const BranchSchedule& schedule) : schedule_(schedule) {}

  void add_lanes(const Request& request, int lanes) {
    Entry& entry = entries_[request.arrival];
    entry.lanes += lanes;
    entry.allowed = schedule_.allowed_seconds(request, entry.lanes);
  }

  /// The step takes at least so long.
  void set_least(double seconds) {
    for (auto& [_, entry] : entries_) entry.missed = entry.allowed < seconds;
  }

  /// Finds the tightest bounds anew.
  void update() {
    tightest_ = second_ = kNoLimit;
    for (const auto& [arrival, entry] : entries_) {
      if (entry.missed || entry.allowed >= second_) continue;
      second_ = entry.allowed;
      if (second_ >= tightest_) continue;
      std::swap(tightest_, second_);
      tightest_of_ = arrival;
    }
  }

  /// The longest step that misses none of them.
  double tightest() const { return tightest_; }

  /// The longest step in which one more lane of the request decodes.
  double with(const Request& request) const {
    const auto known = entries_.find(request.arrival);
    const double others = request.arrival == tightest_of_ ? second_ : tightest_;
    if (known == entries_.end()) return std::min(others, schedule_.allowed_seconds(request, 1));
    if (known->second.missed) return others;
    return std::min(others, schedule_.allowed_seconds(request, known->second.lanes + 1));
  }

 private:
  struct Entry {
    int lanes = 0;
    double allowed = 0;
    bool missed = false;
  };

  const BranchSchedule& schedule_;
  std::unordered_map<std::uint64_t, Entry> entries_;  // by arrival
  double tightest_ = kNoLimit, second_ = kNoLimit;
  std::uint64_t tightest_of_ = 0;
};

void BranchSchedule::add_candidates(const std::shared_ptr<Request>& request, bool leads,
                                    std::vector<Candidate>& out) const {
  LaneTree& tree = request->tree();
  const std::vector<int> lanes = request->policy->independent_lanes(*request);
  for (Lane& lane : tree.lanes()) lane.held = !lanes.empty();
  int rows = tree.rows_needed();
  if (lanes.empty()) {
    double kv_tokens = tree.trunk().segment->next_position();
    for (const Lane& branch : tree.branches()) kv_tokens += branch.live ? branch.length() : 0;
    out.push_back({request, 0, true, rows, kv_tokens, leads});
    return;
  }
  // The first one's rows are with those of lanes that have ended, and it reads what all share.
  bool first = true;
  for (const int id : lanes) {
    const Segment& segment = *tree.lanes()[id].segment;
    const int kv_tokens = first ? segment.next_position() : segment.length();
    out.push_back({request, id, false, segment.num_uncomputed() + std::exchange(rows, 0),
                   static_cast<double>(kv_tokens), leads && first});
    first = false;
  }
}

std::vector<BranchSchedule::Candidate> BranchSchedule::candidates_of(
    const std::vector<std::shared_ptr<Request>>& requests) const {
  // The first request of a group that decodes leads it.
  std::unordered_map<std::uint64_t, std::uint64_t> leader;  // by group: its order of arrival
  const auto decodes = [](const Request& request) {
    return request.running() && !request.scorer && request.tree().pending_prefill() == 0;
  };
  for (const auto& request : requests) {
    if (!decodes(*request)) continue;
    const auto [known, added] = leader.try_emplace(request->group, request->arrival);
    if (!added) known->second = std::min(known->second, request->arrival);
  }
  std::vector<Candidate> out;
  for (const auto& request : requests) {
    if (decodes(*request)) {
      add_candidates(request, leader.at(request->group) == request->arrival, out);
    }
  }
  return out;
}

BranchSchedule::Selection BranchSchedule::select(
    const std::vector<std::shared_ptr<Request>>& requests, int max_rows, int prefill,
    int max_prefill, const StepTimeModel& model) {
  ++steps_;
  now_ = std::chrono::steady_clock::now();
  const bool slack = options_.mode == Mode::kSlack;
  std::vector<Candidate> candidates = candidates_of(requests);
  Selection out;
  int room = max_rows;
  Bounds bounds(*this);
  std::unordered_map<std::uint64_t, int> lanes;  // selected, by group
  const auto select = [&](Candidate& candidate) {
    candidate.selected = true;
    room -= std::min(room, candidate.rows);
    out.work.decode_rows = max_rows - room;
    out.work.kv_tokens += candidate.kv_tokens;
    ++lanes[candidate.request->group];
    if (slack) bounds.add_lanes(*candidate.request, candidate.whole ? candidate.rows : 1);
  };
  for (Candidate& candidate : candidates) {
    // The exception: a fork may have more opening tokens than a whole batch holds.
    const bool fits = candidate.rows <= room || (candidate.rows > max_rows && room == max_rows);
    if (candidate.leads && fits) select(candidate);
  }
  const auto seconds_with = [&](const Candidate* candidate) {
    StepWork work = out.work;
    work.prefill_rows = prefill;
    if (candidate) {
      work.decode_rows += candidate->rows;
      work.kv_tokens += candidate->kv_tokens;
    }
    return model.seconds(work);
  };
  const auto update_bounds = [&] {
    if (slack) bounds.set_least(seconds_with(nullptr));
    bounds.update();
  };
  const int wanted = std::min({std::exchange(prefill, 0), max_prefill, room});
  update_bounds();
  out.longest = bounds.tightest();
  prefill = wanted;
  if (out.work.decode_rows > 0) prefill = model.max_prefill_rows(out.work, wanted, out.longest);
  update_bounds();

  std::vector<Candidate*> others;
  for (Candidate& candidate : candidates) {
    if (!candidate.selected && lanes.contains(candidate.request->group))
      others.push_back(&candidate);
  }
  std::ranges::stable_sort(others, std::ranges::greater{}, [](const Candidate* candidate) {
    return lane_of(*candidate->request, candidate->lane).waited;
  });
  int trials = model.knows_rows() || steps_ % kTrialSteps != 0 ? 0 : 1;
  for (Candidate* candidate : others) {
    if (candidate->rows > room) continue;
    const int answer_lanes = lanes[candidate->request->group];
    if (options_.mode == Mode::kCap && answer_lanes >= options_.cap) continue;
    if (candidate->request->spec().sequential && !candidate->whole) continue;
    if (slack) {
      const double allowed = bounds.with(*candidate->request), seconds = seconds_with(candidate);
      const bool fits = allowed == kNoLimit || (seconds > 0 && seconds <= allowed);
      if (!fits && trials-- <= 0) continue;
    }
    select(*candidate);
    bounds.update();
  }
  for (Candidate& candidate : candidates) {
    Lane& lane = lane_of(*candidate.request, candidate.lane);
    lane.held = !candidate.selected && !candidate.whole;
    lane.waited = candidate.selected ? 0 : lane.waited + 1;
    held_lanes_ += candidate.selected ? 0 : 1;
    const bool listed = !out.requests.empty() && out.requests.back() == candidate.request;
    if (candidate.selected && !listed) out.requests.push_back(candidate.request);
  }
  return out;
}

}  // namespace anabranch
