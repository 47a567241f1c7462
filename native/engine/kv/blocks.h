// Paged KV: fixed-size blocks with reference counts, and the segments made of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kv/prefix_key.h"

namespace anabranch {

/// Tokens of KV in one block (vLLM's block size). Attention reads whole blocks.
inline constexpr int kBlockTokens = 16;

inline int blocks_for(size_t tokens) {
  return static_cast<int>((tokens + kBlockTokens - 1) / kBlockTokens);
}

/// What a full block's K and V were computed from.
struct BlockContent {
  PrefixKey key;     // of this block and everything before it
  PrefixKey parent;  // of the previous block of its segment, or of the segment's context
  int start = 0;     // position id of its first token
  std::array<int, kBlockTokens> tokens{};
  bool operator==(const BlockContent&) const = default;
};

/// Hands out block numbers and remembers what full blocks hold: the prefix cache. A block without
/// references whose content is known counts as free; the least recently used one is reused first.
/// Owned and used by the engine thread only.
class BlockPool {
 public:
  explicit BlockPool(int total);

  int total() const { return static_cast<int>(blocks_.size()); }
  int free() const { return static_cast<int>(free_.size() + cached_.size()); }
  /// Free blocks that the prefix cache can still serve.
  int cached() const { return static_cast<int>(cached_.size()); }
  std::uint32_t references(int block) const { return blocks_[block].references; }
  /// How often a block has become free so far.
  std::uint64_t times_freed() const { return times_freed_; }

  /// A block with one reference. The caller has checked that one is free.
  int allocate();
  void retain(int block);
  void release(int block);

  /// Enters a full block into the prefix cache, unless its content is there already.
  void publish(int block, const BlockContent& content);
  /// The cached block with exactly this content, or -1.
  int find(const BlockContent& content) const;

 private:
  struct Block {
    std::uint32_t references = 0;
    std::optional<BlockContent> content;  // set while find() can return the block
    std::list<int>::iterator cached;      // its place in cached_ while it has no references
  };

  std::vector<Block> blocks_;  // [total]
  std::vector<int> free_;      // without content
  std::uint64_t times_freed_ = 0;
  std::list<int> cached_;  // no references, content known; least recently used first
  std::unordered_map<PrefixKey, int, PrefixKeyHash> block_of_;
};

class Segment;
using SegmentPtr = std::shared_ptr<Segment>;

/// A segment as part of a context: its first `limit` tokens.
struct SeenSegment {
  SegmentPtr segment;
  int limit = std::numeric_limits<int>::max();  // the default: all

  int length() const;
};

/// What a lane's next token may attend to, in order. This list is the attention mask: siblings are
/// not in it.
using Context = std::vector<SeenSegment>;

/// A run of one lane's tokens at consecutive positions, and their KV blocks. Tokens are written
/// first; their KV is computed later, in order. The blocks may be taken away and computed again,
/// the tokens stay.
class Segment {
 public:
  /// `before` is what its tokens see besides the segment itself; those segments no longer grow,
  /// unless they are seen up to a limit. Blocks are shared with segments under the same `root` key;
  /// without one they are not shared.
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
  /// Tokens whose KV is in the blocks.
  int num_computed() const { return num_computed_; }
  int num_uncomputed() const { return length() - num_computed_; }
  /// Tokens that must be computed before decoding continues: those of a prompt, and those whose
  /// blocks were taken away.
  int pending_prefill() const { return std::max(0, prefill_target_ - num_computed_); }
  int num_lookahead() const { return num_lookahead_; }

  void write(int token) { tokens_.push_back(token); }
  /// All tokens written so far must be computed before decoding continues.
  void mark_for_prefill() { prefill_target_ = length(); }

  /// Allocates the KV slot of the next uncomputed token. Returns the token's index i: its slot is
  /// token i % kBlockTokens of blocks()[i / kBlockTokens].
  int append_slot();
  /// Allocates the slot of a draft token, after all computed and lookahead tokens. Returns its
  /// index.
  int append_lookahead();
  /// Ends the lookahead: the first `num_accepted` draft tokens were written, the others' slots are
  /// freed.
  void commit_lookahead(int num_accepted);
  /// Takes blocks that the prefix cache has for the next tokens, up to `limit` tokens in all.
  /// Returns the number of tokens found.
  int use_cached_prefix(int limit);
  /// Removes the last tokens. What remains of a block that others may share is computed again.
  void remove_last(int tokens);
  /// The last token is computed again, for its logits.
  void recompute_last();
  /// Frees all blocks; the computed tokens become pending prefill.
  void release_blocks();

  /// Whether computing the pending prefill will publish this block content.
  bool will_publish(const PrefixKey& key) const;
  /// Key of the first full block within the pending prefill, if there is one.
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
  std::optional<PrefixKey> context_key_;  // absent: not shared
  mutable std::vector<PrefixKey> keys_;   // of full blocks, computed on demand
  std::vector<int> tokens_;
  std::vector<int> blocks_;
  int num_computed_ = 0;
  int num_lookahead_ = 0;  // draft tokens after num_computed_, within a step
  int prefill_target_ = 0;
};

inline int SeenSegment::length() const { return std::min(limit, segment->length()); }

}  // namespace anabranch
