#include "grammar/grammar.h"

#include <algorithm>
#include <array>
#include <compare>
#include <set>
#include <utility>

#include "error.h"

namespace anabranch {
namespace {

constexpr std::uint32_t kMaxNodes = 1 << 17, kMaxEdges = 1 << 20;
constexpr size_t kMaxPlaces = 1 << 23;   // of one grammar: about 300 MiB with their states
constexpr size_t kWornPlaces = 1 << 19;  // later answers begin with a new one
constexpr size_t kMaxMasks = 512;        // kept of one grammar: 10 MiB at 150,000 tokens
constexpr size_t kMaxGrammars = 32;
constexpr int kRoot = -1;            // the frame of the automaton that nothing called
constexpr int kUnknown = -3;         // a transition that was not followed yet
constexpr size_t kMinRunBytes = 64;  // fewer bytes spell too few tokens to look at them apart

enum EdgeKind : std::uint32_t { kBytes = 0, kEmpty = 1, kCall = 2 };

struct Edge {
  EdgeKind kind;
  std::uint8_t low, high;  // kBytes
  int target;
  int after;  // kCall: where to go on
};

struct Node {
  bool final = false;
  bool reads = false;  // it has an edge of bytes
  std::vector<Edge> edges;
};

}  // namespace

struct Grammar::Place {
  int node;
  int frame;
  auto operator<=>(const Place&) const = default;
};

/// The bytes that most lead from one state to one other.
struct Grammar::Run {
  ByteSet set;  // none if they are few
  int next = kDead;
};

struct Grammar::State {
  std::vector<Place> places;  // sorted; those that read bytes
  bool may_end = false;
  std::vector<int> next;  // [byte classes]
  std::optional<Run> run;
  std::shared_ptr<const TokenMask> mask;
};

struct Grammar::Network {
  explicit Network(const GrammarWords& words);

  std::vector<Node> nodes;
  int start = 0;
  /// Bytes that no edge tells apart have one class.
  std::array<std::uint8_t, 256> class_of{};
  int classes = 0;

 private:
  void classify();
  void check_calls() const;
};

Grammar::Network::Network(const GrammarWords& words) {
  size_t at = 0;
  const auto next = [&](std::uint32_t limit) {
    if (at >= words.size() || words[at] >= limit) throw bad_argument("grammar: malformed");
    return words[at++];
  };
  if (next(kGrammarVersion + 1) != kGrammarVersion) throw bad_argument("grammar: malformed");
  const std::uint32_t count = next(kMaxNodes + 1);
  if (count == 0) throw bad_argument("grammar: malformed");
  start = static_cast<int>(next(count));
  nodes.resize(count);
  for (Node& node : nodes) {
    node.final = next(2) == 1;
    const std::uint32_t edges = next(kMaxEdges);
    for (std::uint32_t i = 0; i < edges; ++i) {
      const std::uint32_t head = next(1 << 24);
      const auto kind = static_cast<EdgeKind>(head & 0xff);
      const auto target = static_cast<int>(next(count)), after = static_cast<int>(next(count));
      if (kind > kCall) throw bad_argument("grammar: malformed");
      node.reads = node.reads || kind == kBytes;
      node.edges.push_back({kind, static_cast<std::uint8_t>(head >> 8),
                            static_cast<std::uint8_t>(head >> 16), target, after});
    }
  }
  if (at != words.size()) throw bad_argument("grammar: malformed");
  classify();
  check_calls();
}

void Grammar::Network::classify() {
  std::array<bool, 257> begins{};
  begins[0] = true;
  for (const Node& node : nodes) {
    for (const Edge& edge : node.edges) {
      if (edge.kind == kBytes) begins[edge.low] = begins[edge.high + 1] = true;
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (begins[byte]) ++classes;
    class_of[byte] = static_cast<std::uint8_t>(classes - 1);
  }
}

/// What is called may not be empty nor begin with a call of itself: a closure would not end.
void Grammar::Network::check_calls() const {
  std::map<int, std::set<int>> begins_with;  // by called node
  std::vector<int> called;
  for (const Node& node : nodes) {
    for (const Edge& edge : node.edges) {
      if (edge.kind == kCall && begins_with.try_emplace(edge.target).second) {
        called.push_back(edge.target);
      }
    }
  }
  for (int rule : called) {
    std::set<int> seen = {rule};
    std::vector<int> open = {rule};
    while (!open.empty()) {
      const Node& node = nodes[open.back()];
      open.pop_back();
      if (node.final) throw bad_argument("grammar: an automaton that is called may be empty");
      for (const Edge& edge : node.edges) {
        if (edge.kind == kCall) begins_with[rule].insert(edge.target);
        if (edge.kind == kEmpty && seen.insert(edge.target).second) open.push_back(edge.target);
      }
    }
  }
  // Takes away rules that begin with none of those left, until none is left.
  for (bool changed = true; changed;) {
    changed = false;
    for (auto it = begins_with.begin(); it != begins_with.end();) {
      const bool free =
          std::ranges::none_of(it->second, [&](int rule) { return begins_with.contains(rule); });
      changed = changed || free;
      it = free ? begins_with.erase(it) : std::next(it);
    }
  }
  if (!begins_with.empty()) {
    throw bad_argument("grammar: an automaton begins with a call of itself");
  }
}

/// All places that are reached without reading. Callers of one automaton at one point of the text
/// share a frame, so their number stays small where alternatives begin alike.
class Grammar::Closure {
 public:
  explicit Closure(Grammar& grammar) : grammar_(grammar) {}

  void add(Place place) {
    if (seen_.insert(place).second) open_.push_back(place);
  }

  State finish() {
    while (!open_.empty()) {
      const Place place = open_.back();
      open_.pop_back();
      expand(place);
    }
    for (Place& place : state_.places) place.frame = settle(place.frame);
    std::ranges::sort(state_.places);
    const auto same = std::ranges::unique(state_.places);
    state_.places.erase(same.begin(), same.end());
    return std::move(state_);
  }

 private:
  /// A frame that is still growing; named by numbers below kRoot.
  struct NewFrame {
    std::vector<Place> callers;
    int settled = kUnknown;
  };
  static int name_of(size_t index) { return kRoot - 1 - static_cast<int>(index); }
  static size_t index_of(int name) { return static_cast<size_t>(kRoot - 1 - name); }

  void expand(Place place) {
    const Node& node = grammar_.network_->nodes[place.node];
    if (node.reads) state_.places.push_back(place);
    if (node.final && place.frame == kRoot) state_.may_end = true;
    if (node.final && place.frame >= 0) {
      for (const Place& caller : grammar_.frames_[place.frame]) add(caller);
    }
    for (const Edge& edge : node.edges) {
      if (edge.kind == kEmpty) add({edge.target, place.frame});
      if (edge.kind != kCall) continue;
      const auto [found, is_new] = frame_of_rule_.try_emplace(edge.target, new_frames_.size());
      if (is_new) new_frames_.emplace_back();
      new_frames_[found->second].callers.push_back({edge.after, place.frame});
      if (is_new) add({edge.target, name_of(found->second)});
    }
  }

  /// The lasting number of a frame.
  int settle(int frame) {
    if (frame >= kRoot) return frame;
    const size_t index = index_of(frame);
    if (new_frames_[index].settled != kUnknown) return new_frames_[index].settled;
    std::vector<Place> callers = new_frames_[index].callers;
    for (Place& caller : callers) caller.frame = settle(caller.frame);
    std::ranges::sort(callers);
    const auto same = std::ranges::unique(callers);
    callers.erase(same.begin(), same.end());
    const auto [found, is_new] =
        grammar_.frame_of_.try_emplace(callers, static_cast<int>(grammar_.frames_.size()));
    if (is_new) {
      grammar_.places_ += callers.size();
      grammar_.frames_.push_back(std::move(callers));
    }
    return new_frames_[index].settled = found->second;
  }

  Grammar& grammar_;
  std::set<Place> seen_;
  std::vector<Place> open_;
  std::unordered_map<int, size_t> frame_of_rule_;
  std::vector<NewFrame> new_frames_;
  State state_;
};

Grammar::Grammar(const GrammarWords& words, std::shared_ptr<const TokenTrie> trie)
    : trie_(std::move(trie)), network_(std::make_unique<Network>(words)) {
  Closure closure(*this);
  closure.add({network_->start, kRoot});
  start_ = intern(closure.finish());
}

Grammar::~Grammar() = default;

int Grammar::start() { return start_; }

bool Grammar::is_worn() const {
  std::lock_guard lock(mutex_);
  return places_ > kWornPlaces;
}

int Grammar::intern(State state) {
  if (state.places.empty() && !state.may_end) return kDead;
  std::vector<Place> key = state.places;
  if (state.may_end) key.push_back({-1, -1});
  const auto found = state_of_.find(key);
  if (found != state_of_.end()) return found->second;
  const size_t classes = static_cast<size_t>(network_->classes);
  const size_t cost = 1 + state.places.size() + classes / 4;
  if (places_ + cost > kMaxPlaces) return kTooLarge;
  places_ += cost;
  state.next.assign(classes, kUnknown);
  const int id = static_cast<int>(states_.size());
  state_of_.emplace(std::move(key), id);
  states_.push_back(std::move(state));
  return id;
}

int Grammar::follow(int state, std::uint8_t byte) {
  const size_t byte_class = network_->class_of[byte];
  const int known = states_[state].next[byte_class];
  if (known != kUnknown) return known;
  Closure closure(*this);
  for (const Place& place : states_[state].places) {
    for (const Edge& edge : network_->nodes[place.node].edges) {
      if (edge.kind == kBytes && byte >= edge.low && byte <= edge.high) {
        closure.add({edge.target, place.frame});
      }
    }
  }
  const int next = intern(closure.finish());
  return states_[state].next[byte_class] = next;
}

int Grammar::after(int state, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  for (char byte : bytes) {
    if (state < 0) break;
    state = follow(state, static_cast<std::uint8_t>(byte));
  }
  return state;
}

bool Grammar::may_end(int state) {
  std::lock_guard lock(mutex_);
  return state >= 0 && states_[state].may_end;
}

bool Grammar::must_end(int state) {
  std::lock_guard lock(mutex_);
  return state >= 0 && states_[state].may_end && states_[state].places.empty();
}

std::string Grammar::forced(int state, size_t count) {
  std::lock_guard lock(mutex_);
  std::string out;
  while (state >= 0 && !states_[state].may_end && out.size() < count) {
    int only = -1;
    for (const Place& place : states_[state].places) {
      for (const Edge& edge : network_->nodes[place.node].edges) {
        if (edge.kind != kBytes) continue;
        if (edge.low != edge.high || (only >= 0 && only != edge.low)) return out;
        only = edge.low;
      }
    }
    out.push_back(static_cast<char>(only));
    state = follow(state, static_cast<std::uint8_t>(only));
  }
  return out;
}

const Grammar::Run& Grammar::run_of(int state) {
  if (states_[state].run) return *states_[state].run;
  std::map<int, ByteSet> sets;  // by the state that they lead to
  for (int byte = 0; byte < 256; ++byte) {
    const int next = follow(state, static_cast<std::uint8_t>(byte));
    if (next >= 0) sets[next].set(byte);
  }
  Run run;
  for (const auto& [next, set] : sets) {
    if (set.count() >= std::max(kMinRunBytes, run.set.count() + 1)) run = {set, next};
  }
  return states_[state].run.emplace(run);
}

/// How many bytes of `set` may follow, whichever they are; at most Split::kLongest. None if it
/// depends on which they are.
std::optional<int> Grammar::run_length(int state, const ByteSet& set) {
  for (int length = 0; length < TokenTrie::Split::kLongest; ++length) {
    const Run& run = run_of(state);
    if (run.set == set) {
      state = run.next;
      continue;
    }
    for (int byte = 0; byte < 256; ++byte) {
      if (set[byte] && follow(state, static_cast<std::uint8_t>(byte)) >= 0) return std::nullopt;
    }
    return length;
  }
  return TokenTrie::Split::kLongest;
}

std::shared_ptr<const TokenMask> Grammar::mask(int state) {
  std::lock_guard lock(mutex_);
  if (!states_[state].mask) {
    const auto next = [&](int at, std::uint8_t byte) { return follow(at, byte); };
    const ByteSet set = run_of(state).set;
    const auto length = set.any() ? run_length(state, set) : std::nullopt;
    TokenMask mask;
    if (length) {
      const auto split = trie_->split(set);
      mask = split->up_to[*length];
      split->others.allow(state, next, mask);
    } else {
      mask = trie_->no_tokens();
      trie_->allow(state, next, mask);
    }
    states_[state].mask = std::make_shared<const TokenMask>(std::move(mask));
    masked_.push_back(state);
    if (masked_.size() > kMaxMasks) {
      states_[masked_.front()].mask.reset();
      masked_.pop_front();
    }
  }
  return states_[state].mask;
}

std::shared_ptr<Grammar> Grammars::get(const GrammarWords& words) {
  if (!trie_) {
    throw Error(ErrorCode::kFailedPrecondition,
                "this engine was started without the bytes of its tokens: it can't hold a grammar");
  }
  std::lock_guard lock(mutex_);
  std::erase_if(kept_, [](const auto& each) { return each.second->is_worn(); });
  const auto found = std::ranges::find(kept_, words, &decltype(kept_)::value_type::first);
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return found->second;
  }
  kept_.emplace_front(words, std::make_shared<Grammar>(words, trie_));
  if (kept_.size() > kMaxGrammars) kept_.pop_back();
  return kept_.front().second;
}

}  // namespace anabranch
