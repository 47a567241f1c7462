#include "blocks.h"

#include "error.h"

namespace anabranch {

int BlockPool::allocate() {
  if (free_.empty()) throw Error(ErrorCode::kInternal, "KV blocks ran out despite the reservation");
  const int block = free_.back();
  free_.pop_back();
  references_[block] = 1;
  return block;
}

void BlockPool::release(int block) {
  if (--references_[block] == 0) free_.push_back(block);
}

bool BlockPool::reserve(int blocks) {
  if (blocks > total() - reserved_) return false;
  reserved_ += blocks;
  return true;
}

void BlockPool::unreserve(int blocks) { reserved_ -= blocks; }

}  // namespace anabranch
