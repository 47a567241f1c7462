// Tokens with their lane structure: the form of prompts, scripts and scored text.
#pragma once

#include <cstddef>
#include <vector>

namespace anabranch {

/// Where the trunk's positions continue after a join: after the sum, or the maximum, of the
/// branches' lengths.
enum class ResumeRule { kSum, kMax };

/// One run of a structured text: serial tokens, or the branches of a stage.
struct StructureRun {
  bool parallel = false;
  std::vector<std::vector<int>> tokens;  // serial: [1][n]; parallel: [branches][n]
  /// In scripts, the number of opening tokens of each branch, [branches]. If given, fork and join
  /// take the steps that a dialect takes: the trunk's last token and all openings share one step,
  /// and so do the branches' last tokens and the trunk's next one. Empty: one step per token.
  std::vector<int> openings = {};
};

/// Checks runs against the vocabulary and the model's context. Empty runs are allowed. Throws Error
/// naming the run.
void check_structure(const std::vector<StructureRun>& runs, int vocabulary, int context);

/// Tokens of all runs.
size_t tokens_of(const std::vector<StructureRun>& runs);

/// KV blocks of all runs; each token list is a segment of its own.
size_t blocks_of(const std::vector<StructureRun>& runs);

}  // namespace anabranch
