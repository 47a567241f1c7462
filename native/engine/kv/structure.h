// Tokens with their lane structure, as prompts, scripts and scores are given.
#pragma once

#include <cstddef>
#include <vector>

namespace anabranch {

/// Where the trunk's positions go on after a join.
enum class ResumeRule { kSum, kMax };

/// A run of one text's structure: a serial run has one list, a parallel group has its branches.
struct StructureRun {
  bool parallel = false;
  std::vector<std::vector<int>> tokens;  // serial: [1][n]; parallel: [branches][n]
  /// In scripts: how many tokens at each branch's start are its opening, [branches]. Then fork and join
  /// are a dialect's: the trunk's last token and all openings go through one step, and so do the last
  /// tokens of branches and the trunk's next. Empty: every token has a step of its own.
  std::vector<int> openings = {};
};

/// Checks runs against the vocabulary and the model's context. Throws Error naming the run.
/// Empty runs are legal.
void check_structure(const std::vector<StructureRun>& runs, int vocabulary, int context);

/// Tokens of all runs.
size_t tokens_of(const std::vector<StructureRun>& runs);

/// KV blocks of all runs, each list a segment of its own.
size_t blocks_of(const std::vector<StructureRun>& runs);

}  // namespace anabranch
