// A model family's way of writing a parallel stage: data from aspd.json beside the model.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kv/structure.h"

namespace anabranch {

/// A part of what is written by itself: fixed ids, a branch's title, or its number in the plan.
struct TemplatePart {
  enum class Kind { kIds, kTitle, kIndex };
  Kind kind = Kind::kIds;
  std::vector<int> ids;
};
using Template = std::vector<TemplatePart>;

/// A marker that the model chooses, token by token. Once `ids` are written, `rest` follows by itself.
struct Marker {
  std::vector<int> ids;  // empty: the dialect has no such marker
  Template rest;
  std::vector<int> stand_ins;  // tokens that choose it too, and are not written: all of it is
};

struct Dialect {
  std::string name;
  Marker plan_open;    // where there is none, the first title_open opens a plan
  Marker title_open;
  Marker title_close;
  Marker fork;
  Marker no_plan;      // in place of the first title: there is nothing to plan
  Template opening;    // forced into each branch; its first piece is a marker
  Marker branch_close;
  Template join;       // forced into the trunk when the stage closes; its first piece is a marker
  Marker tail_close;   // ends the text after a join that still belongs to the stage
  std::vector<std::vector<int>> index;  // the ids of 1, 2, …
  /// All that is never ordinary text, as sequences of which none stands inside another.
  std::vector<std::vector<int>> tags;
  /// The plan is asked for in the request's own words, before anything else is written; in text
  /// nothing is a marker.
  bool prompted = false;
  bool serial_visible = true;
  bool opening_visible = false;
  bool body_visible = true;
  bool branch_close_visible = false;
  bool tail_visible = true;
  ResumeRule resume = ResumeRule::kSum;
  int min_branches = 2;
  int max_branches = 10;
  int max_title_tokens = 16;
  int max_branch_tokens = 512;       // from the opening's first token through branch_close
  int max_stages = 8;

  /// What opens a plan in the text.
  const Marker& opener() const { return plan_open.ids.empty() ? title_open : plan_open; }
  bool has_tail() const { return !tail_close.ids.empty(); }
  /// The ids of a template; `number` counts the titles of a plan from 1.
  std::vector<int> fill(const Template& pieces, const std::vector<int>& title, int number) const;
  /// The ids of a whole marker: what the model chooses and what follows.
  std::vector<int> whole(const Marker& marker, int number) const;
  /// Segments that an answer of so many tokens can have at the most.
  int max_segments(int tokens) const;
};

/// Within a title its end and the next one's begin are guessed where they are no more tokens than this, which
/// beside one row cost a step next to nothing: most tokens of a title are not its last.
inline constexpr size_t kMaxDraftTokens = 3;

/// How many of a marker's first tokens a text ends with, where that may still become the marker.
int begun(std::span<const int> text, const std::vector<int>& marker);

/// Reads `given`, JSON, or where that is empty `folder`/aspd.json; nothing where the model has none.
/// Throws Error naming the field.
std::optional<Dialect> read_dialect(const std::string& given, const std::string& folder,
                                    int vocabulary);

}  // namespace anabranch
