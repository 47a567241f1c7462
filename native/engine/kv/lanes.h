// The lanes of one answer: a tree whose forks and joins are list operations on contexts.
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
  int id = 0;           // 0 is the trunk; branches in order of creation over the whole answer
  int stage = 0;        // a branch's stage, counted from 1; 0 for the trunk
  SegmentPtr segment;   // where it writes; its context is segment->before(), then the segment
  bool live = true;     // still to be given tokens (written ones may remain to be filled)

  void write(int token) { segment->write(token); }
  void write(std::span<const int> tokens) {
    for (int token : tokens) segment->write(token);
  }
  /// Tokens of its own segment.
  int length() const { return segment->length(); }
};

/// A row of a step whose logits were asked for.
struct LaneLogits {
  int lane = 0;
  int row = 0;      // of the logits output
  int segment = 0;  // in order of creation,
  int index = 0;    // and the token of it that was the row's input
};

/// The rows of a step that give logits.
struct StepLogits {
  std::vector<LaneLogits> written;
  std::vector<LaneLogits> draft;  // of each token of the trunk's guess, in its order; or none
};

class LaneTree {
 public:
  /// The trunk, with an empty first segment at position 0. KV is shared with other requests of the
  /// same salt; with none where it is empty.
  LaneTree(BlockPool& pool, std::span<const std::uint8_t> salt);

  Lane& trunk() { return lanes_.front(); }
  std::vector<Lane>& lanes() { return lanes_; }
  const std::vector<Lane>& lanes() const { return lanes_; }
  const std::vector<SegmentPtr>& segments() const { return segments_; }
  /// The branches of the open stage, in title order; empty outside a stage.
  std::span<Lane> branches();
  bool in_stage() const { return branches_ > 0; }
  int stages() const { return stages_; }

  /// Writes a prompt. Each run is a segment of its own, as a plan is when it is decoded; a group's
  /// branches all start at the next trunk position, and the run after it at that position plus the
  /// sum, or the maximum, of their lengths. They are no lanes of the answer.
  void write_prompt(const std::vector<StructureRun>& runs, ResumeRule rule);

  /// The trunk goes on in a segment of its own, which drop_segment() can take away again, with the
  /// `more` tokens before it: then the token before those gives its logits once more.
  void begin_segment();
  void drop_segment(int more);

  /// Opens one branch for each opening (tokens it is forced to begin with). All start at the
  /// trunk's next position and see what the trunk sees. O(branches) pointer work.
  void fork(const std::vector<std::vector<int>>& openings);

  /// Closes the stage: the trunk sees its old context, the branches in title order, and a new
  /// segment at start + sum (or max) of the branches' lengths.
  void join(ResumeRule rule);

  /// What the trunk will probably write next: it goes through the next decode step behind what the trunk
  /// has written by now, and each token of it gives logits as well.
  void set_draft(std::vector<int> tokens);
  /// How many tokens the trunk has written since, where they are what the guess begins with; else 0.
  int num_accepted() const;
  /// After that step: what was not written as guessed is forgotten.
  void commit_draft();

  /// All that is written by now must be filled before decoding goes on.
  void mark_for_prefill();
  /// Settled tokens that are still to be filled. While there are any, steps fill those alone.
  int pending_prefill() const;
  /// Rows that add_rows would like to add.
  int rows_needed() const;
  /// Blocks that add_rows would allocate with this allowance.
  int blocks_needed(int allowance) const;
  /// Adds rows for written tokens, segments in order of creation. `every_row` asks for logits of
  /// each row, else of the last token of a live lane.
  StepLogits add_rows(Batch& batch, int allowance, bool every_row);
  /// Fills settled tokens with KV that is known. Returns how many.
  int use_cached_prefix();
  /// Gives all blocks back; what was filled is then behind.
  void release_blocks();
  /// The first KV content that filling what is behind will compute.
  std::optional<PrefixKey> next_key() const;
  bool will_publish(const PrefixKey& key) const;

  /// Whether the next step gives the lane a token.
  bool decodes(const Lane& lane) const { return lane.live && !waits_for_sibling(lane); }
  int live_lanes() const;  // how many it gives one

  /// With siblings decoded one after another (a debugging aid), only the first live branch moves.
  void set_sequential(bool sequential) { sequential_ = sequential; }

 private:
  const SegmentPtr& open(int lane, int start, Context before);
  bool waits_for_sibling(const Lane& lane) const;
  bool needs_logits(const Segment& segment) const;  // its last token does
  int rows_of(const Segment& segment, bool prefilling) const;
  int draft_rows_of(const Segment& segment, bool prefilling) const;  // tokens after its unfilled ones

  BlockPool& pool_;
  std::optional<PrefixKey> root_;
  std::vector<Lane> lanes_;
  std::vector<SegmentPtr> segments_;  // in order of creation: each sees earlier ones only
  int branches_ = 0;                  // of the open stage: the last ones in lanes_
  int stages_ = 0;
  bool sequential_ = false;
  struct {
    std::vector<int> tokens;
    SegmentPtr segment;      // where they may come to stand,
    int from = 0;            // from this index on
    bool forwarded = false;  // in the step under way
  } draft_;
};

}  // namespace anabranch
