#include "kv/blocks.h"

#include <algorithm>

#include "error.h"

namespace anabranch {

BlockPool::BlockPool(int total) : blocks_(total) {
  for (int block = total - 1; block >= 0; --block) free_.push_back(block);
}

int BlockPool::allocate() {
  int block;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else if (!cached_.empty()) {
    block = cached_.front();
    cached_.pop_front();
    block_of_.erase(blocks_[block].content->key);
    blocks_[block].content.reset();
  } else {
    throw Error(ErrorCode::kInternal, "no KV block is free although free blocks were counted");
  }
  blocks_[block].references = 1;
  return block;
}

void BlockPool::retain(int block) {
  Block& b = blocks_[block];
  if (b.references++ == 0) cached_.erase(b.cached);
}

void BlockPool::release(int block) {
  Block& b = blocks_[block];
  if (--b.references > 0) return;
  ++times_freed_;
  if (b.content)
    b.cached = cached_.insert(cached_.end(), block);
  else
    free_.push_back(block);
}

void BlockPool::publish(int block, const BlockContent& content) {
  if (block_of_.try_emplace(content.key, block).second) blocks_[block].content = content;
}

int BlockPool::find(const BlockContent& content) const {
  const auto at = block_of_.find(content.key);
  if (at == block_of_.end() || *blocks_[at->second].content != content) return -1;
  return at->second;
}

Segment::Segment(BlockPool& pool, int lane, int start, Context before,
                 const std::optional<PrefixKey>& root)
    : pool_(pool), lane_(lane), start_(start), before_(std::move(before)), context_key_(root) {
  if (!context_key_) return;
  for (const SeenSegment& seen : before_) {
    const PrefixKey end = seen.segment->end_key();
    const std::uint32_t words[] = {
        static_cast<std::uint32_t>(end.low), static_cast<std::uint32_t>(end.low >> 32),
        static_cast<std::uint32_t>(end.high), static_cast<std::uint32_t>(end.high >> 32)};
    context_key_ = extend(*context_key_, words);
  }
}

const PrefixKey& Segment::key(int block) const {
  while (static_cast<int>(keys_.size()) <= block) {
    const int next = static_cast<int>(keys_.size());
    std::array<std::uint32_t, kBlockTokens + 1> words;
    words[0] = static_cast<std::uint32_t>(start_ + next * kBlockTokens);
    for (int i = 0; i < kBlockTokens; ++i) {
      words[i + 1] = static_cast<std::uint32_t>(tokens_[next * kBlockTokens + i]);
    }
    keys_.push_back(extend(next == 0 ? *context_key_ : keys_.back(), words));
  }
  return block < 0 ? *context_key_ : keys_[block];
}

/// Key of the whole segment, for the segments that see it: its full blocks and the tokens after
/// them.
PrefixKey Segment::end_key() const {
  const int full = length() / kBlockTokens;
  std::vector<std::uint32_t> words = {static_cast<std::uint32_t>(start_),
                                      static_cast<std::uint32_t>(length())};
  words.insert(words.end(), tokens_.begin() + full * kBlockTokens, tokens_.end());
  return extend(key(full - 1), words);
}

BlockContent Segment::content(int block) const {
  BlockContent out;
  out.key = key(block);
  out.parent = key(block - 1);
  out.start = start_ + block * kBlockTokens;
  std::copy_n(tokens_.begin() + block * kBlockTokens, kBlockTokens, out.tokens.begin());
  return out;
}

int Segment::append_slot() {
  if (num_computed_ % kBlockTokens == 0) blocks_.push_back(pool_.allocate());
  return advance_computed();
}

/// Counts one more token as computed, in a block that is allocated. Returns its index.
int Segment::advance_computed() {
  const int index = num_computed_++, block = index / kBlockTokens;
  if (context_key_ && num_computed_ % kBlockTokens == 0)
    pool_.publish(blocks_[block], content(block));
  return index;
}

int Segment::append_lookahead() {
  if ((num_computed_ + num_lookahead_) % kBlockTokens == 0) blocks_.push_back(pool_.allocate());
  return num_computed_ + num_lookahead_++;
}

void Segment::commit_lookahead(int num_accepted) {
  num_lookahead_ = 0;
  for (; num_accepted > 0; --num_accepted) advance_computed();
  for (; static_cast<int>(blocks_.size()) > blocks_for(num_computed_); blocks_.pop_back()) {
    pool_.release(blocks_.back());
  }
}

int Segment::use_cached_prefix(int limit) {
  const int before = num_computed_;
  while (context_key_ && num_computed_ % kBlockTokens == 0 &&
         num_computed_ + kBlockTokens <= limit) {
    const int block = pool_.find(content(num_computed_ / kBlockTokens));
    if (block < 0) break;
    pool_.retain(block);
    blocks_.push_back(block);
    num_computed_ += kBlockTokens;
  }
  return num_computed_ - before;
}

void Segment::remove_last(int tokens) {
  tokens_.resize(tokens_.size() - tokens);
  keys_.resize(std::min(keys_.size(), tokens_.size() / kBlockTokens));
  prefill_target_ = std::min(prefill_target_, length());
  while (num_computed_ > length()) {
    // A full block may be shared, so it is never written again.
    const int begin = (blocks_for(num_computed_) - 1) * kBlockTokens;
    const bool shared = context_key_ && num_computed_ == begin + kBlockTokens;
    if (length() > begin && !shared) {
      num_computed_ = length();
      return;
    }
    num_computed_ = begin;
    pool_.release(blocks_.back());
    blocks_.pop_back();
  }
}

void Segment::recompute_last() {
  prefill_target_ = std::min(prefill_target_, length() - 1);
  if (num_computed_ < length()) return;
  if (--num_computed_ % kBlockTokens > 0) return;
  pool_.release(blocks_.back());
  blocks_.pop_back();
}

void Segment::release_blocks() {
  prefill_target_ = std::max(prefill_target_, num_computed_);
  num_computed_ = num_lookahead_ = 0;
  // The last block is freed first and so reused first: what stays cached is a prefix.
  for (; !blocks_.empty(); blocks_.pop_back()) pool_.release(blocks_.back());
}

std::optional<PrefixKey> Segment::next_key() const {
  const int block = blocks_for(num_computed_);
  if (!context_key_ || (block + 1) * kBlockTokens > prefill_target_) return std::nullopt;
  return key(block);
}

bool Segment::will_publish(const PrefixKey& wanted) const {
  if (!context_key_) return false;
  for (int block = num_computed_ / kBlockTokens; (block + 1) * kBlockTokens <= prefill_target_;
       ++block) {
    if (key(block) == wanted) return true;
  }
  return false;
}

}  // namespace anabranch
