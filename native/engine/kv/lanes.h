// The lanes of one answer. Fork and join are list operations on contexts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "kv/blocks.h"
#include "kv/structure.h"

namespace anabranch {

struct Lane {
  int id = 0;          // 0 is the trunk; branches in order of creation over the whole answer
  int stage = 0;       // a branch's stage, counted from 1; 0 for the trunk
  SegmentPtr segment;  // where it writes; its context is segment->before(), then the segment
  bool live = true;    // will get more tokens (written ones may still be uncomputed)
  /// Indices in the segment, ascending, of tokens that are asked how likely the next one was.
  std::vector<int> probes = {};
  int rounds = 0;     // of a branch: steps of its stage that it has taken
  bool held = false;  // has no rows in the next step, unless it must be prefilled
  int waited = 0;     // steps since it was last forwarded, in which siblings were

  void write(int token) { segment->write(token); }
  void write(std::span<const int> tokens) {
    for (int token : tokens) segment->write(token);
  }
  /// Tokens of its current segment.
  int length() const { return segment->length(); }
};

/// A logits row of a step, and the token that was its input.
struct LaneLogits {
  int lane = 0;
  int row = 0;      // of the logits output
  int segment = 0;  // in order of creation
  int index = 0;    // of the input token in the segment
};

/// The logits rows of a step.
struct StepLogits {
  std::vector<LaneLogits> written;
  std::vector<LaneLogits> draft;  // one per draft token, in order; empty if none were forwarded
};

class LaneTree {
 public:
  /// Starts with the trunk and an empty first segment at position 0. KV is shared with requests of
  /// the same salt and adapter (0: none); with an empty salt it is not shared.
  LaneTree(BlockPool& pool, std::span<const std::uint8_t> salt, std::uint64_t adapter);

  Lane& trunk() { return lanes_.front(); }
  std::vector<Lane>& lanes() { return lanes_; }
  const std::vector<Lane>& lanes() const { return lanes_; }
  const std::vector<SegmentPtr>& segments() const { return segments_; }
  /// The branches of the open stage, in title order; empty outside a stage.
  std::span<Lane> branches();
  std::span<const Lane> branches() const;
  bool in_stage() const { return branches_ > 0; }
  int stages() const { return stages_; }

  /// Writes a prompt. Each run is a segment of its own, as a plan is when it is decoded. The
  /// branches of a parallel run all start at the next trunk position; the next run starts at that
  /// position plus the sum, or the maximum, of their lengths. They are not lanes of the answer.
  void write_prompt(const std::vector<StructureRun>& runs, ResumeRule rule);

  /// Starts a new trunk segment, which drop_segment() can remove again together with the `extra`
  /// tokens before it. The token before those then gives its logits again.
  void begin_segment();
  void drop_segment(int extra);

  /// Removes the last tokens of the trunk's segment, and ends its draft.
  void take_back(int tokens);

  /// Opens one branch per opening (the tokens it is forced to begin with). All start at the trunk's
  /// next position and see what the trunk sees. Costs O(branches) pointer operations.
  void fork(const std::vector<std::vector<int>>& openings);

  /// Closes the stage: the trunk sees its old context, the branches in title order, and a new
  /// segment at start + sum (or max) of the branches' lengths.
  void join(ResumeRule rule);

  /// Opens a lane that is decoded beside the trunk. It sees the first `at` tokens of the trunk's
  /// segment and what that segment sees. Its KV is shared with nobody, and neither is that of
  /// branches that see it. Returns the lane's number; references to lanes become invalid.
  int open_beside(int at);
  /// Opens branches that see what the lane `side` sees and writes, one per opening. The trunk goes
  /// on in its own segment; join() is not for such a stage.
  void fork_beside(int side, const std::vector<std::vector<int>>& openings);
  /// Ends a lane beside the trunk and frees its KV.
  void drop_lane(Lane& lane);
  /// Ends a stage of fork_beside(), whose lanes were all dropped.
  void end_stage() { branches_ = 0; }

  /// Sets the draft: tokens that the trunk will probably write next. The next decode step forwards
  /// them after the trunk's written tokens, and each gives logits as well.
  void set_draft(std::vector<int> tokens);
  /// How many draft tokens the trunk has written since; 0 if it has written anything else.
  int num_accepted() const;
  /// Ends the draft after its step: the KV of tokens that were not accepted is freed.
  void commit_draft();

  /// All tokens written so far, except in held lanes, must be computed before decoding continues.
  void mark_for_prefill();
  /// Tokens still to be prefilled. While there are any, steps compute only those.
  int pending_prefill() const;
  /// Rows that add_rows would add without an allowance.
  int rows_needed() const;
  /// Blocks that add_rows would allocate with this allowance.
  int blocks_needed(int allowance) const;
  /// Adds rows for uncomputed tokens, segments in order of creation. `every_row` requests logits of
  /// each row, otherwise only of the last token of each live lane.
  StepLogits add_rows(Batch& batch, int allowance, bool every_row);
  /// Takes what the prefix cache has of the pending prefill. Returns the number of tokens found.
  int use_cached_prefix();
  /// Frees all blocks; the computed tokens become pending prefill.
  void release_blocks();
  /// Calls visit(block) for each reference that its segments have.
  template <class Visit>
  void for_each_block(Visit visit) const {
    for (const SegmentPtr& segment : segments_) {
      for (int block : segment->blocks()) visit(block);
    }
  }
  /// Key of the first block that the pending prefill will compute.
  std::optional<PrefixKey> next_key() const;
  bool will_publish(const PrefixKey& key) const;

  /// The number of lanes that will get more tokens.
  int live_lanes() const;

 private:
  const SegmentPtr& open_segment(int lane, int start, Context before);
  void open_branches(int start, const Context& seen, const std::optional<PrefixKey>& root,
                     const std::vector<std::vector<int>>& openings);
  bool is_held(const Segment& segment) const;
  bool needs_logits(const Segment& segment) const;  // of its last token
  int rows_of(const Segment& segment, bool prefilling) const;
  int draft_rows_of(const Segment& segment, bool prefilling) const;

  BlockPool& pool_;
  std::optional<PrefixKey> root_;
  std::vector<Lane> lanes_;
  std::vector<SegmentPtr> segments_;  // in order of creation: each sees only earlier ones
  int branches_ = 0;                  // of the open stage: the last ones in lanes_
  int stages_ = 0;
  struct {
    std::vector<int> tokens;
    SegmentPtr segment;      // the trunk's, when the draft was set
    int from = 0;            // index of the first draft token in the segment
    bool forwarded = false;  // by the current step
  } draft_;
};

}  // namespace anabranch
