// Paged KV: fixed-size blocks with reference counts, and the segments made of them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace anabranch {

/// Tokens of KV in one block. Also the unit in which attention walks a segment.
inline constexpr int kBlockTokens = 16;

/// Hands out block numbers. Owned and used by the engine thread only.
class BlockPool {
 public:
  explicit BlockPool(int total) : references_(total, 0) {
    for (int block = total - 1; block >= 0; --block) free_.push_back(block);
  }

  int total() const { return static_cast<int>(references_.size()); }
  int free() const { return static_cast<int>(free_.size()); }
  std::uint32_t references(int block) const { return references_[block]; }

  /// A block with one reference. The caller has made sure that one is free (admission reserves).
  int allocate();
  void release(int block);

  /// What admitted requests may still come to need, in blocks; never above total().
  int reserved() const { return reserved_; }
  bool reserve(int blocks);
  void unreserve(int blocks);

 private:
  std::vector<std::uint32_t> references_;  // [total]
  std::vector<int> free_;
  int reserved_ = 0;
};

/// An append-only run of one lane's tokens at consecutive positions, and its KV blocks.
/// Contexts hold segments by shared pointer; the last one to let go gives the blocks back.
class Segment {
 public:
  Segment(BlockPool& pool, int start) : pool_(pool), start_(start) {}
  ~Segment() {
    for (int block : blocks_) pool_.release(block);
  }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  int start() const { return start_; }            // position id of its first token
  int length() const { return length_; }          // tokens
  int next_position() const { return start_ + length_; }
  const std::vector<int>& blocks() const { return blocks_; }

  /// Room for one more token; its KV slot is blocks()[offset / kBlockTokens], offset % kBlockTokens.
  int append() {
    if (length_ % kBlockTokens == 0) blocks_.push_back(pool_.allocate());
    return length_++;
  }

 private:
  BlockPool& pool_;
  int start_;
  int length_ = 0;
  std::vector<int> blocks_;
};

using SegmentPtr = std::shared_ptr<Segment>;

/// What a lane's next token may attend to, in order. The branch-invisible mask is this list.
using Context = std::vector<SegmentPtr>;

}  // namespace anabranch
