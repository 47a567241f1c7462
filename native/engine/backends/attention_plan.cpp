#include "backends/attention_plan.h"

#include <algorithm>
#include <utility>

namespace anabranch {
namespace {

/// Query heads per work item: enough to amortise reading the chunk, few enough to spread the items
/// over all threads.
constexpr int kTargetQueriesPerItem = 96;

/// The cost of an item. Its queries walk the tokens of the longest read; reading K and V once costs
/// about as much as computing with them a few times.
long long cost_of(long long query_tokens, int longest) { return query_tokens + 4 * longest; }

/// Chunks with tokens [begin, end) of a span.
int chunks_for(int begin, int end) {
  return begin >= end ? 0 : (end - 1) / kKvChunkTokens - begin / kKvChunkTokens + 1;
}

}  // namespace

AttentionPlan::AttentionPlan(int blocks, int max_partials, int kv_heads, int group, int threads)
    : max_partials_(max_partials),
      kv_heads_(kv_heads),
      group_(group),
      threads_(threads),
      chunk_at_(blocks, -1) {
  chunks_.reserve(max_partials);
  reads_.reserve(max_partials);
}

/// The chunk with these blocks, as far as both lists go, or a new one. Requests that share cached
/// blocks may diverge within a chunk: then the first block is the same and a later one differs.
int AttentionPlan::find_or_add_chunk(const int* blocks, int begin, int tokens) {
  for (int at = chunk_at_[blocks[0]]; at >= 0; at = chunks_[at].next) {
    Chunk& chunk = chunks_[at];
    const int common = (std::min(tokens, chunk.tokens) + kBlockTokens - 1) / kBlockTokens;
    if (blocks != chunk.blocks && !std::equal(blocks, blocks + common, chunk.blocks)) continue;
    chunk.begin = std::min(chunk.begin, begin);
    if (tokens > chunk.tokens) {
      chunk.blocks = blocks;
      chunk.tokens = tokens;
    }
    return at;
  }
  const int added = static_cast<int>(chunks_.size());
  chunks_.push_back({blocks, begin, tokens, 0, 0, chunk_at_[blocks[0]]});
  chunk_at_[blocks[0]] = added;
  return added;
}

void AttentionPlan::build(const Batch& batch, int window, std::span<const char> skip) {
  reads_.clear();
  items_.clear();
  waves_.clear();
  kv_tokens_ = 0;
  const int rows = static_cast<int>(batch.rows.size());
  first_partial_.resize(rows);
  num_partials_.resize(rows);
  int first_row = 0, used = 0;
  for (int row = 0; row < rows; ++row) {
    const int position = batch.rows[row].position;
    const KvSpan* spans = batch.spans.data() + batch.rows[row].first_span;
    const int count = !skip.empty() && skip[row] ? 0 : batch.rows[row].num_spans;
    int partials = 0;
    for (int s = 0; s < count; ++s) {
      partials += chunks_for(first_visible(spans[s], position, window), spans[s].length);
    }
    if (used + partials > max_partials_) {
      close_wave(first_row, row);
      first_row = row;
      used = 0;
    }
    first_partial_[row] = used;
    num_partials_[row] = partials;
    used += partials;
    add_row(row, spans, count, position, window);
  }
  close_wave(first_row, rows);
}

/// Adds a row's spans: to the runs of the row before, as far as both read the same.
void AttentionPlan::add_row(int row, const KvSpan* spans, int count, int position, int window) {
  int partials = 0;
  bool same = true;
  for (int s = 0; s < count; ++s) {
    const KvSpan& span = spans[s];
    const int visible = first_visible(span, position, window);
    if (same && s < static_cast<int>(last_runs_.size())) {
      SpanRun& run = runs_[last_runs_[s]];
      same = run.first_row + run.rows == row && run.span.blocks == span.blocks &&
             run.span.length == span.length && run.visible == visible;
      if (same) ++run.rows;
    } else {
      same = false;
    }
    if (!same) {
      last_runs_.resize(s);
      last_runs_.push_back(static_cast<int>(runs_.size()));
      runs_.push_back({span, visible, row, 1, partials});
    }
    partials += chunks_for(visible, span.length);
  }
  last_runs_.resize(count);
}

/// Adds the chunks that a run reads.
void AttentionPlan::add_chunks(int index) {
  const SpanRun& run = runs_[index];
  int partial = run.partials_before;
  for (int first = run.visible / kKvChunkTokens * kKvChunkTokens; first < run.span.length;
       first += kKvChunkTokens) {
    const int begin = std::max(0, run.visible - first);
    const int tokens = std::min(kKvChunkTokens, run.span.length - first);
    if (begin >= tokens) continue;  // the window begins after the span
    const int chunk = find_or_add_chunk(run.span.blocks + first / kBlockTokens, begin, tokens);
    chunks_[chunk].reads += run.rows;
    chunk_runs_.push_back({chunk, index, begin, tokens, partial++});
  }
}

/// Sorts the wave's reads by chunk and cuts the chunks into work items.
void AttentionPlan::close_wave(int first_row, int last_row) {
  for (size_t run = 0; run < runs_.size(); ++run) add_chunks(static_cast<int>(run));
  int begin = static_cast<int>(reads_.size());
  int added = 0;
  for (const ChunkRun& part : chunk_runs_) added += runs_[part.run].rows;
  reads_.resize(reads_.size() + added);
  const int first_item = static_cast<int>(items_.size());
  const auto max_cost = [&](const Chunk& chunk) {
    const int tokens = chunk.tokens - chunk.begin;
    return cost_of(static_cast<long long>(chunk.reads) * tokens * group_, tokens);
  };
  long long total = 0;
  for (const Chunk& chunk : chunks_) total += max_cost(chunk) * kv_heads_;
  const long long cost_per_thread = std::max(1LL, total / threads_);
  for (Chunk& chunk : chunks_) {
    chunk_at_[chunk.blocks[0]] = -1;
    chunk.next_read = begin;
    kv_tokens_ += chunk.tokens - chunk.begin;
    const int queries = chunk.reads * group_;
    const auto items_of = [&](int size) { return (queries + size - 1) / size; };
    // No item costs more than one thread's share of the wave, nor holds fewer queries than walk a
    // chunk together.
    const auto balanced =
        static_cast<int>((max_cost(chunk) + cost_per_thread - 1) / cost_per_thread);
    const int items =
        std::min(chunk.reads, std::max(items_of(kTargetQueriesPerItem),
                                       std::min(items_of(kMaxQueriesPerItem), balanced)));
    for (int head = 0; head < kv_heads_; ++head) {
      for (int item = 0; item < items; ++item) {
        const int first = chunk.reads * item / items;
        const int count = chunk.reads * (item + 1) / items - first;
        items_.push_back({chunk.blocks, begin + first, count, head});
      }
    }
    begin += chunk.reads;
  }
  for (const ChunkRun& part : chunk_runs_) {
    const SpanRun& run = runs_[part.run];
    QueryRead* read = reads_.data() + chunks_[part.chunk].next_read;
    for (int row = run.first_row; row < run.first_row + run.rows; ++row) {
      *read++ = {row, part.begin, part.tokens, first_partial_[row] + part.partial};
    }
    chunks_[part.chunk].next_read += run.rows;
  }
  runs_.clear();
  last_runs_.clear();
  chunks_.clear();
  chunk_runs_.clear();
  waves_.push_back(assign_to_threads(first_row, last_row, first_item));
}

/// Assigns the items from `first_item` on to threads, the most expensive item first, each to the
/// thread with the least work. Reorders the items so that each thread's are adjacent.
AttentionPlan::Wave AttentionPlan::assign_to_threads(int first_row, int last_row, int first_item) {
  const std::vector<WorkItem> items(items_.begin() + first_item, items_.end());
  std::vector<long long> cost;
  std::vector<int> order;
  for (const WorkItem& item : items) {
    long long query_tokens = 0;
    int begin = kKvChunkTokens, end = 0;
    for (int r = 0; r < item.count; ++r) {
      const QueryRead& read = reads_[item.first + r];
      query_tokens += static_cast<long long>(read.tokens - read.begin) * group_;
      begin = std::min(begin, read.begin);
      end = std::max(end, read.tokens);
    }
    cost.push_back(cost_of(query_tokens, end - begin));
    order.push_back(static_cast<int>(order.size()));
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return cost[a] > cost[b]; });
  std::vector<long long> load(threads_);
  std::vector<int> thread_of(items.size());
  for (const int item : order) {
    const auto idlest = std::min_element(load.begin(), load.end());
    *idlest += cost[item];
    thread_of[item] = static_cast<int>(idlest - load.begin());
  }
  Wave wave{first_row, last_row, {first_item}};
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return std::pair(thread_of[a], a) < std::pair(thread_of[b], b); });
  size_t placed = 0;
  for (int thread = 0; thread < threads_; ++thread) {
    for (; placed < order.size() && thread_of[order[placed]] == thread; ++placed) {
      items_[first_item + placed] = items[order[placed]];
    }
    wave.thread_items.push_back(first_item + static_cast<int>(placed));
  }
  return wave;
}

}  // namespace anabranch
