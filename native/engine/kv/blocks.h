// Paged KV: fixed-size blocks with reference counts, and the segments made of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kv/prefix_key.h"

namespace anabranch {

/// Tokens of KV in one block. Also the unit in which attention walks a segment.
inline constexpr int kBlockTokens = 16;

inline int blocks_for(size_t tokens) {
  return static_cast<int>((tokens + kBlockTokens - 1) / kBlockTokens);
}

/// What a full block's K and V were computed from.
struct BlockContent {
  PrefixKey key;     // of all of it
  PrefixKey parent;  // of the block before it in its segment, or of the segment's context
  int start = 0;     // position id of its first token
  std::array<int, kBlockTokens> tokens{};
  bool operator==(const BlockContent&) const = default;
};

/// Hands out block numbers, and remembers what full blocks hold: the prefix cache. A block that
/// nobody uses but whose content is known counts as free, and is given away when it is the one
/// unused for longest. Owned and used by the engine thread only.
class BlockPool {
 public:
  explicit BlockPool(int total);

  int total() const { return static_cast<int>(blocks_.size()); }
  int free() const { return static_cast<int>(free_.size() + idle_.size()); }
  /// Free blocks whose content is still known.
  int cached() const { return static_cast<int>(idle_.size()); }
  std::uint32_t references(int block) const { return blocks_[block].references; }

  /// A block with one reference. The caller has made sure that one is free.
  int allocate();
  void retain(int block);
  void release(int block);

  /// Tells what a full block holds, so that find() finds it. One block a content is kept.
  void publish(int block, const BlockContent& content);
  /// The block that holds exactly this, or -1.
  int find(const BlockContent& content) const;

 private:
  struct Block {
    std::uint32_t references = 0;
    std::optional<BlockContent> content;  // set while find() may find it
    std::list<int>::iterator idle;        // its place in idle_, while it has no reference
  };

  std::vector<Block> blocks_;  // [total]
  std::vector<int> free_;      // hold nothing
  std::list<int> idle_;        // no references, content known; unused for longest first
  std::unordered_map<PrefixKey, int, PrefixKeyHash> known_;
};

class Segment;
using SegmentPtr = std::shared_ptr<Segment>;

/// What a lane's next token may attend to, in order. The branch-invisible mask is this list.
using Context = std::vector<SegmentPtr>;

/// An append-only run of one lane's tokens at consecutive positions, and its KV blocks. Tokens are
/// written first and filled (given their KV) after, in order. Its blocks may be taken away and
/// filled again: the tokens stay.
class Segment {
 public:
  /// `before` is what its tokens see beside itself: it never grows any more. `root` names the salt
  /// under which its blocks may be shared; absent: they are not.
  Segment(BlockPool& pool, int lane, int start, Context before,
          const std::optional<PrefixKey>& root);
  ~Segment() { release_blocks(); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  int lane() const { return lane_; }
  int start() const { return start_; }  // position id of its first token
  const Context& before() const { return before_; }
  const std::vector<int>& tokens() const { return tokens_; }
  const std::vector<int>& blocks() const { return blocks_; }
  int length() const { return static_cast<int>(tokens_.size()); }
  int next_position() const { return start_ + length(); }
  int num_uncomputed() const { return length() - num_computed_; }
  /// Tokens that must be filled before decoding can go on: a prompt's, and those of blocks that
  /// were taken away.
  int pending_prefill() const { return std::max(0, prefill_target_ - num_computed_); }
  int num_computed() const { return num_computed_; }
  int num_lookahead() const { return num_lookahead_; }

  void write(int token) { tokens_.push_back(token); }
  /// What is written by now belongs to what decoding stands on.
  void mark_for_prefill() { prefill_target_ = length(); }

  /// Room for the KV of its next token. Returns the token's index; its slot is
  /// blocks()[index / kBlockTokens], index % kBlockTokens.
  int append_slot();
  /// The same for a token that may come to be written next, after what is filled and filled ahead.
  int append_lookahead();
  /// Of the tokens filled ahead the first `right` were written; the others' KV goes.
  void commit_lookahead(int right);
  /// Takes blocks that are known to hold its next tokens, as far as `limit` tokens. Returns how many
  /// tokens that filled.
  int use_cached_prefix(int limit);
  /// Takes back what was written last. What is left in a block of it is filled anew.
  void remove_last(int tokens);
  /// Its last token is forwarded once more, for its logits.
  void recompute_last();
  /// Gives the blocks back; filled tokens are then behind.
  void release_blocks();

  /// Whether filling will publish this block content; for a request that waits for it.
  bool will_publish(const PrefixKey& key) const;
  /// Key of the first full block that is not filled yet, if there is one within settled tokens.
  std::optional<PrefixKey> next_key() const;

 private:
  int advance_computed();
  BlockContent content(int block) const;
  PrefixKey end_key() const;
  const PrefixKey& key(int block) const;  // of full block number `block`; -1: of the context

  BlockPool& pool_;
  int lane_;
  int start_;
  Context before_;
  std::optional<PrefixKey> entry_;       // of the context; absent: not shared
  mutable std::vector<PrefixKey> keys_;  // of full blocks, as far as they were needed
  std::vector<int> tokens_;
  std::vector<int> blocks_;
  int num_computed_ = 0;
  int num_lookahead_ = 0;  // filled beyond that, within a step
  int prefill_target_ = 0;
};

}  // namespace anabranch
