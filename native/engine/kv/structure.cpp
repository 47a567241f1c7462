#include "kv/structure.h"

#include <string>

#include "kv/blocks.h"
#include "error.h"

namespace anabranch {

void check_structure(const std::vector<StructureRun>& runs, int vocabulary, int context) {
  for (size_t r = 0; r < runs.size(); ++r) {
    const StructureRun& run = runs[r];
    for (size_t b = 0; b < run.openings.size(); ++b) {
      const int opening = run.openings[b];
      if (run.openings.size() == run.tokens.size() && opening >= 1 &&
          opening <= static_cast<int>(run.tokens[b].size())) {
        continue;
      }
      throw bad_argument("run " + std::to_string(r) +
                         ": openings must hold, for each branch, how many of its tokens open it");
    }
    for (const auto& tokens : run.tokens) {
      for (int token : tokens) {
        if (token >= 0 && token < vocabulary) continue;
        throw bad_argument("run " + std::to_string(r) + ": token id " + std::to_string(token) +
                           " is outside the vocabulary of " + std::to_string(vocabulary));
      }
    }
  }
  const size_t total = tokens_of(runs);
  if (total > static_cast<size_t>(context)) {
    throw Error(ErrorCode::kOutOfRange, std::to_string(total) + " tokens are more than the " +
                                            std::to_string(context) + " positions of the model");
  }
}

size_t tokens_of(const std::vector<StructureRun>& runs) {
  size_t total = 0;
  for (const auto& run : runs) {
    for (const auto& tokens : run.tokens) total += tokens.size();
  }
  return total;
}

size_t blocks_of(const std::vector<StructureRun>& runs) {
  size_t total = 0;
  for (const auto& run : runs) {
    for (const auto& tokens : run.tokens) total += static_cast<size_t>(blocks_for(tokens.size()));
  }
  return total;
}

}  // namespace anabranch
