// Which rows of a batch read which chunks of KV, so that each chunk is read once for all its rows
// (split-KV attention: partial results per chunk, merged per row).
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "backends/backend.h"

namespace anabranch {

/// Tokens in one chunk of KV. Chunks start at fixed offsets within a segment.
inline constexpr int kKvChunkTokens = 256;

/// The first token of a span that a row sees: keys at positions above `position` - `window`, or all
/// if the window is 0. A span's positions ascend, so the row sees all later ones; it may be beyond
/// the span's end.
inline int first_visible(const KvSpan& span, int position, int window) {
  return window == 0 ? 0 : std::max(0, position - window + 1 - span.start);
}

/// Query heads that a CPU thread multiplies with one block of K or V together, at most.
inline constexpr int kMaxQueriesPerItem = 12;

/// The attention of one batch, planned once for all layers with the same sliding window. Rows share
/// a chunk if their spans name the same blocks, whichever requests they belong to. A plan is cut
/// into waves of rows, so that the partial results of any batch fit a bounded buffer.
class AttentionPlan {
 public:
  /// One row's read of a chunk.
  struct QueryRead {
    int row = 0;
    int begin = 0;  // tokens [begin, tokens) of the chunk, counted from its start; at least one
    int tokens = 0;
    int partial = 0;  // index of the partial result
  };

  /// Reads of one chunk that one thread (or thread block) computes together, for one KV head.
  struct WorkItem {
    const int* blocks = nullptr;
    int first = 0;  // reads [first, first + count)
    int count = 0;
    int kv_head = 0;
  };

  /// Rows [first_row, last_row), each with partials [first_partial(row), first_partial(row + 1)).
  struct Wave {
    int first_row = 0;
    int last_row = 0;
    std::vector<int> thread_items;  // [threads + 1]: thread i computes items [[i], [i + 1])
  };

  AttentionPlan() = default;
  /// `blocks` is the size of the block pool. `max_partials` bounds the partial results of one wave;
  /// it must suffice for one row that reads every block.
  AttentionPlan(int blocks, int max_partials, int kv_heads, int group, int threads);

  /// Chunks outside of a row's `window` (0: none) are not read. Rows that `skip` marks, if given,
  /// get no partials: another kernel computes their attention.
  void build(const Batch& batch, int window = 0, std::span<const char> skip = {});

  const std::vector<Wave>& waves() const { return waves_; }
  const WorkItem& item(int index) const { return items_[index]; }
  const std::vector<QueryRead>& reads() const { return reads_; }
  int first_partial(int row) const { return first_partial_[row]; }
  int num_partials(int row) const { return num_partials_[row]; }

  /// Tokens of KV that the planned rows read, each shared chunk counted once.
  long long kv_tokens() const { return kv_tokens_; }

 private:
  struct Chunk {
    const int* blocks = nullptr;  // of the longest read
    int begin = 0;                // the first token of all reads
    int tokens = 0;               // of the longest read
    int reads = 0;
    int next_read = 0;  // index in reads_ while they are sorted by chunk
    int next = -1;      // another chunk that begins with the same block
  };
  /// Consecutive rows that read the same span, and the same before it. So the work of a plan grows
  /// with the spans and with the reads, of which only the writing is left.
  struct SpanRun {
    KvSpan span;
    int visible = 0;  // the span's first token that they see
    int first_row = 0;
    int rows = 0;
    int partials_before = 0;  // of each row, for the spans before
  };
  /// The reads of one chunk by the rows of a run.
  struct ChunkRun {
    int chunk = 0;
    int run = 0;
    int begin = 0, tokens = 0;
    int partial = 0;  // counted from the first one of each row
  };

  void add_row(int row, const KvSpan* spans, int count, int position, int window);
  int find_or_add_chunk(const int* blocks, int begin, int tokens);
  void add_chunks(int run);
  void close_wave(int first_row, int last_row);
  Wave assign_to_threads(int first_row, int last_row, int first_item);

  int max_partials_ = 0, kv_heads_ = 0, group_ = 0, threads_ = 0;
  std::vector<int> chunk_at_;  // [blocks]: the chunk that begins with this block, or -1
  // Of the wave being built:
  std::vector<SpanRun> runs_;
  std::vector<int> last_runs_;  // of the last row's spans
  std::vector<Chunk> chunks_;
  std::vector<ChunkRun> chunk_runs_;
  std::vector<QueryRead> reads_;  // by chunk, in row order
  std::vector<WorkItem> items_;
  std::vector<int> first_partial_, num_partials_;  // [rows]
  std::vector<Wave> waves_;
  long long kv_tokens_ = 0;
};

}  // namespace anabranch
