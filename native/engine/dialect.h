// A model family's way of writing a parallel stage: data from aspd.json beside the model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "structure.h"

namespace anabranch {

struct Dialect {
  std::string name;
  int title_open = 0;
  int title_close = 0;
  int fork = 0;
  int branch_close = 0;
  std::vector<int> join;             // forced into the trunk when the stage closes
  std::vector<int> opening_before;   // forced into a branch before its title,
  std::vector<int> opening_after;    // and after it
  std::vector<int> markers;          // every id that is never ordinary text, sorted
  bool serial_visible = true;
  bool body_visible = true;
  ResumeRule resume = ResumeRule::kSum;
  int max_branches = 10;
  int max_title_tokens = 16;
  int max_branch_tokens = 512;       // from the opening's first token through branch_close
  int max_stages = 8;
};

/// Reads `folder`/aspd.json; nothing where the model has none. Throws Error naming the field.
std::optional<Dialect> read_dialect(const std::string& folder, int vocabulary);

}  // namespace anabranch
