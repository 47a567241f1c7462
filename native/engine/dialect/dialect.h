// How a model family writes a parallel stage: the data of aspd.json in the model folder.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kv/structure.h"

namespace anabranch {

/// A part of a forced text: fixed ids, a branch's title, or the branch's number in the plan.
struct TemplatePart {
  enum class Kind { kIds, kTitle, kIndex };
  Kind kind = Kind::kIds;
  std::vector<int> ids;
};
using Template = std::vector<TemplatePart>;

/// A marker that the model samples token by token. Once `ids` are complete, `rest` is forced.
struct Marker {
  std::vector<int> ids;  // empty: the dialect has no such marker
  Template rest;
};

struct Dialect {
  std::string name;
  Marker plan_open;  // if absent, the first title_open opens a plan
  Marker title_open;
  Marker title_close;
  Marker fork;
  Template opening;  // forced into each branch; its first part is a marker, which is never visible
  Marker branch_close;
  Template join;      // forced into the trunk when the stage closes; its first part is a marker
  Marker tail_close;  // ends the text after a join that still belongs to the stage
  std::vector<std::vector<int>> index;  // the ids of the numbers 1, 2, …
  /// Token sequences that ordinary text can't contain. None of them contains another.
  std::vector<std::vector<int>> tags;
  bool serial_visible = true;
  bool opening_visible = false;
  bool body_visible = true;
  bool branch_close_visible = false;
  bool tail_visible = true;
  ResumeRule resume = ResumeRule::kSum;
  bool serial_from_base = false;  // of an adapter: it has no part in answers that can't branch
  int min_branches = 2;
  int max_branches = 10;
  int max_title_tokens = 16;
  int max_branch_tokens = 512;  // from the opening's first token through branch_close
  int max_stages = 8;
  int min_room = 128;    // an answer that may have fewer tokens yet opens no plan
  int branch_room = 32;  // tokens that max_tokens must leave for the text of each branch of a plan

  /// The marker that opens a plan.
  const Marker& opener() const { return plan_open.ids.empty() ? title_open : plan_open; }
  bool has_tail() const { return !tail_close.ids.empty(); }
  /// The ids of a template. `number` counts the titles of a plan from 1.
  std::vector<int> render(const Template& parts, const std::vector<int>& title, int number) const;
  /// All ids of a marker: the sampled and the forced ones.
  std::vector<int> full_marker(const Marker& marker, int number) const;
  /// The maximum number of KV segments of an answer with `tokens` tokens.
  int max_segments(int tokens) const;
};

/// Within a title, its close and the next title's opening are drafted if they have at most this
/// many tokens. So few extra rows cost next to nothing beside one row, and most title tokens are
/// not the last.
inline constexpr size_t kMaxDraftTokens = 3;
/// Tokens of a title, where nothing better is known.
inline constexpr int kUsualTitleTokens = 8;
/// Tokens of a title's beginning that are drafted for the next one ("- **").
inline constexpr size_t kMaxMarkTokens = 2;

/// The number of tokens at the end of `text` that may be the beginning of `marker`.
int partial_match(std::span<const int> text, const std::vector<int>& marker);

/// Reads the dialect from `json` or, if that is empty, from `folder`/aspd.json; nothing if the
/// model has none. Throws Error naming the field.
std::optional<Dialect> read_dialect(const std::string& json, const std::string& folder,
                                    int vocabulary);

}  // namespace anabranch
