#include "backends/cuda/step.h"

#include <algorithm>
#include <span>

#include "backends/cuda/adapter.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

static_assert(kBlockTokens == anabranch::kBlockTokens &&
              kKvChunkTokens == anabranch::kKvChunkTokens);

constexpr int kMinPrefillRows = 16;  // rows that make a prefill span

/// The grid of chunk attention for a number of work items: padded, so that few graphs fit all
/// steps. The kernel reads the true number from device memory.
int padded_items(int items) {
  int size = items > 0 ? 64 : 0;
  while (size < items) size *= 2;
  return size;
}

/// The plan's items of a wave: indices [first, second).
std::pair<int, int> planned_items(const AttentionPlan::Wave& wave) {
  return {wave.thread_items.front(), wave.thread_items.back()};
}

int div_up(int n, int by) { return (n + by - 1) / by; }

std::span<const KvSpan> kv_spans_of(const Batch& batch, int row) {
  return std::span(batch.spans).subspan(batch.rows[row].first_span, batch.rows[row].num_spans);
}

/// Whether a row comes right after the previous one in the same segment: same context, and one
/// token more of the last KV span.
bool continues_previous_row(const Batch& batch, int row) {
  const auto before = kv_spans_of(batch, row - 1), here = kv_spans_of(batch, row);
  const auto same = [](const KvSpan& a, const KvSpan& b) {
    return a.blocks == b.blocks && a.length == b.length;
  };
  return before.size() == here.size() && before.back().blocks == here.back().blocks &&
         before.back().length + 1 == here.back().length &&
         std::equal(before.begin(), before.end() - 1, here.begin(), same);
}

}  // namespace

StepBuilder::StepBuilder(const ModelConfig& config, int max_rows, int max_partials,
                         bool deterministic, int multiprocessors)
    : max_rows_(max_rows),
      max_partials_(max_partials),
      kv_heads_(config.kv_heads),
      group_(config.heads / config.kv_heads),
      multiprocessors_(multiprocessors),
      deterministic_(deterministic),
      windows_(config.windows),
      staging_(1 << 22) {}

void StepBuilder::set_total_blocks(int total_blocks) {
  total_blocks_ = total_blocks;
  // Thread blocks are scheduled by the device and take the KV head from the grid: one "thread", one
  // head.
  plans_.assign(windows_.size(), AttentionPlan(total_blocks, max_partials_, 1, group_, 1));
}

// ---- planning ----------------------------------------------------------------------------------

void StepBuilder::plan(const Batch& batch) {
  find_prefill_spans(batch);
  for (size_t i = 0; i < plans_.size(); ++i) plans_[i].build(batch, windows_[i], in_prefill_span_);
}

/// Only in large steps: small ones and deterministic ones use chunk attention for all rows.
void StepBuilder::find_prefill_spans(const Batch& batch) {
  const int rows = static_cast<int>(batch.rows.size());
  prefill_spans_.clear();
  prefill_ranges_.clear();
  prefill_tiles_.clear();
  blocks_.clear();
  in_prefill_span_.assign(batch.rows.size(), 0);
  if (deterministic_ || rows <= kMaxSkinnyRows) return;
  for (int first = 0, end; first < rows; first = end) {
    for (end = first + 1; end < rows && continues_previous_row(batch, end);) ++end;
    if (end - first < kMinPrefillRows) continue;
    std::fill(in_prefill_span_.begin() + first, in_prefill_span_.begin() + end, 1);
    const auto kv_spans = kv_spans_of(batch, end - 1);
    const int index = static_cast<int>(prefill_spans_.size());
    prefill_spans_.push_back(
        {first, batch.rows[first].position, end - first, static_cast<int>(prefill_ranges_.size()),
         static_cast<int>(kv_spans.size()), kv_spans_of(batch, first).back().length});
    for (const KvSpan& span : kv_spans) {
      prefill_ranges_.push_back({static_cast<int>(blocks_.size()), span.length, span.start});
      blocks_.insert(blocks_.end(), span.blocks, span.blocks + blocks_for(span.length));
    }
    // The last rows read the most KV, so their tiles start first.
    const int queries = (end - first) * group_;
    for (int tile = (queries - 1) / kPrefillTileQueries; tile >= 0; --tile) {
      prefill_tiles_.push_back({index, tile * kPrefillTileQueries});
    }
  }
}

std::uint64_t StepBuilder::kv_tokens(int window) const {
  auto tokens = static_cast<std::uint64_t>(plans_[window].kv_tokens());
  for (const PrefillSpan& span : prefill_spans_) {
    for (int i = span.first_range; i < span.first_range + span.num_ranges; ++i) {
      const PrefillKvRange& range = prefill_ranges_[i];
      const int visible = first_visible({nullptr, range.tokens, range.start}, span.first_position,
                                        windows_[window]);
      tokens += static_cast<std::uint64_t>(std::max(0, range.tokens - visible));
    }
  }
  return tokens;
}

// ---- staging -----------------------------------------------------------------------------------

/// Small steps are padded to one of a few sizes, so that few graphs fit them all. The skinny GEMM
/// reads the same weights for a few rows more.
int StepBuilder::padded_rows(int rows) const {
  for (int size : {0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, kMaxGraphRows}) {
    if (rows <= size) return std::min(size, max_rows_);
  }
  // So that cuBLASLt sees fewer shapes, for each of which it chooses an algorithm.
  return std::min(static_cast<int>(round_up(static_cast<size_t>(rows), 16)), max_rows_);
}

bool StepBuilder::reserve(const Batch& batch) {
  const auto rows = static_cast<size_t>(padded_rows(static_cast<int>(batch.rows.size())));
  size_t items = 0, waves = 0, reads = 0;
  for (const AttentionPlan& plan : plans_) {
    for (const AttentionPlan::Wave& wave : plan.waves()) {
      items += static_cast<size_t>(
                   padded_items(count_items(plan, wave, tiles_side_by_side(plan, wave)))) +
               2;
    }
    waves += plan.waves().size();
    reads += plan.reads().size();
  }
  constexpr size_t kBlocksPerItem = kKvChunkTokens / kBlockTokens;
  constexpr size_t kAdapters = sizeof(LowRankUpdate*) + 2 * sizeof(AdapterTile) + sizeof(int) +
                               sizeof(float*) + sizeof(TrainedRows);
  const size_t bytes =
      rows * (kAdapters + sizeof(StepRow) + sizeof(int) + plans_.size() * sizeof(RowPartials)) +
      items * (sizeof(WorkItem) + kBlocksPerItem * sizeof(int)) +
      waves * (sizeof(DeviceAttentionPlan) + 64) + plans_.size() * 32 + reads * sizeof(QueryRead) +
      prefill_spans_.size() * sizeof(PrefillSpan) +
      prefill_ranges_.size() * sizeof(PrefillKvRange) +
      prefill_tiles_.size() * sizeof(PrefillTile) + blocks_.size() * sizeof(int) + 1024;
  if (bytes <= staging_.size()) return false;
  staging_ = StagingBuffer(2 * bytes);
  return true;
}

Step StepBuilder::stage(const Batch& batch, cudaStream_t stream) {
  const int batch_rows = static_cast<int>(batch.rows.size());
  Step step;
  step.rows = padded_rows(batch_rows);
  step.logits_rows = padded_rows(batch.logits_rows);
  staging_.clear();

  // What has one entry per row comes first, so that it has the same size and address in all steps
  // of as many rows, as graphs require. Padding rows write K and V to a spare block and have no
  // partials.
  const auto [rows, device_rows] = staging_.take<StepRow>(static_cast<size_t>(step.rows));
  const auto [sources, device_sources] = staging_.take<int>(static_cast<size_t>(step.rows));
  step.step_rows = device_rows;
  step.logits_source_rows = device_sources;
  std::fill_n(rows, step.rows, StepRow{0, 0, total_blocks_, 0});
  std::fill_n(sources, step.rows, 0);
  for (int i = 0; i < batch_rows; ++i) {
    const Row& row = batch.rows[i];
    rows[i] = {row.token, row.position, row.block, row.offset};
    if (row.logits_row >= 0) sources[row.logits_row] = i;
  }
  for (const AttentionPlan& plan : plans_) {
    const auto [partials, device_partials] =
        staging_.take<RowPartials>(static_cast<size_t>(step.rows));
    std::fill_n(partials, step.rows, RowPartials{0, 0});
    for (int i = 0; i < batch_rows; ++i) {
      partials[i] = {plan.first_partial(i), plan.num_partials(i)};
    }
    step.attention.push_back({device_partials, {}});
  }

  step.adapters = stage_adapters(batch, step);

  // Work items of each wave, then the reads and blocks that they all point into.
  std::vector<std::vector<DeviceAttentionPlan*>> device_plans(plans_.size());
  for (size_t i = 0; i < plans_.size(); ++i) {
    std::vector<StepWave>& waves = step.attention[i].waves;
    for (const AttentionPlan::Wave& wave : plans_[i].waves()) {
      waves.push_back(stage_wave(plans_[i], wave, device_plans[i]));
    }
    // A graph fixes the number of rows to merge, so padding rows are included; they have no
    // partials.
    if (waves.size() == 1) waves[0].rows += step.rows - batch_rows;
  }
  const int* const device_blocks = staging_.append(blocks_);
  for (size_t i = 0; i < plans_.size(); ++i) {
    const auto [reads, device_reads] = staging_.take<QueryRead>(plans_[i].reads().size());
    for (size_t r = 0; r < plans_[i].reads().size(); ++r) {
      const AttentionPlan::QueryRead& read = plans_[i].reads()[r];
      reads[r] = {read.row, read.begin, read.tokens, read.partial};
    }
    for (DeviceAttentionPlan* plan : device_plans[i]) {
      plan->reads = device_reads;
      plan->blocks = device_blocks;
    }
  }

  step.prefill.tiles = staging_.append(prefill_tiles_);
  step.prefill.spans = staging_.append(prefill_spans_);
  step.prefill.ranges = staging_.append(prefill_ranges_);
  step.prefill.blocks = device_blocks;
  step.num_prefill_tiles = static_cast<int>(prefill_tiles_.size());

  staging_.send(stream);
  return step;
}

/// Arrays of one entry per row, as graphs require. Nothing if no row has an adapter.
StepAdapters StepBuilder::stage_adapters(const Batch& batch, const Step& step) {
  std::vector<int> with_adapter;
  for (int i = 0; i < static_cast<int>(batch.rows.size()); ++i) {
    if (batch.rows[i].adapter) with_adapter.push_back(i);
  }
  StepAdapters out;
  if (with_adapter.empty()) return out;
  std::stable_sort(with_adapter.begin(), with_adapter.end(), [&](int a, int b) {
    return batch.rows[a].adapter->id < batch.rows[b].adapter->id;
  });
  const auto rows = static_cast<size_t>(step.rows);
  const auto [tables, device_tables] = staging_.take<const LowRankUpdate*>(rows);
  const auto [embeddings, device_embeddings] = staging_.take<const float*>(rows);
  const auto [heads, device_heads] =
      staging_.take<TrainedRows>(static_cast<size_t>(step.logits_rows));
  const auto [tile_rows, device_tile_rows] = staging_.take<int>(rows);
  std::fill_n(tables, rows, nullptr);
  std::fill_n(embeddings, rows, nullptr);
  std::fill_n(heads, step.logits_rows, TrainedRows{});
  std::vector<AdapterTile> tiles;
  for (size_t i = 0; i < with_adapter.size(); ++i) {
    const Row& row = batch.rows[with_adapter[i]];
    const DeviceAdapter& adapter = *device_adapter(row);
    out.products |= adapter.products();
    out.most_ranks = std::max(out.most_ranks, adapter.most_ranks());
    tile_rows[i] = with_adapter[i];
    tables[with_adapter[i]] = adapter.updates();
    embeddings[with_adapter[i]] = adapter.embedding(row.token);
    out.has_embeddings |= embeddings[with_adapter[i]] != nullptr;
    if (row.logits_row >= 0) heads[row.logits_row] = adapter.head();
    out.has_heads |= row.logits_row >= 0 && adapter.head().count > 0;
    if (tiles.empty() || tiles.back().table != adapter.updates() ||
        tiles.back().count == kAdapterTileRows) {
      tiles.push_back({adapter.updates(), static_cast<int>(i), 0});
    }
    ++tiles.back().count;
  }
  // Padded, so that few graphs fit all steps.
  size_t padded = 1;
  while (padded < tiles.size()) padded *= 2;
  tiles.resize(padded, AdapterTile{nullptr, 0, 0});
  out.low_rank.tables = device_tables;
  out.low_rank.tiles = staging_.append(tiles);
  out.low_rank.tile_rows = device_tile_rows;
  out.low_rank.num_tiles = static_cast<int>(padded);
  out.embeddings = device_embeddings;
  out.heads = device_heads;
  return out;
}

/// How many tiles of kTileQueries a thread block takes side by side. One is fastest, because all
/// warps share the chunk's tokens, as long as all blocks run at once. With more, each block does
/// more for the same wait; then a query's order of sums depends on the batch.
int StepBuilder::tiles_side_by_side(const AttentionPlan& plan,
                                    const AttentionPlan::Wave& wave) const {
  constexpr int kMaxTiles = 8, kBlocksPerMultiprocessor = 2;
  int tiles = 1;
  while (!deterministic_ && tiles < kMaxTiles &&
         count_items(plan, wave, tiles) * kv_heads_ > kBlocksPerMultiprocessor * multiprocessors_)
    tiles *= 2;
  return tiles;
}

int StepBuilder::count_items(const AttentionPlan& plan, const AttentionPlan::Wave& wave,
                             int tiles) const {
  int count = 0;
  const auto [first, last] = planned_items(wave);
  for (int i = first; i < last; ++i)
    count += div_up(plan.item(i).count * group_, tiles * kTileQueries);
  return count;
}

/// Stages a wave's work items and collects their blocks. The plan's pointers are set later, once
/// the places of reads and blocks are known.
StepWave StepBuilder::stage_wave(const AttentionPlan& plan, const AttentionPlan::Wave& planned,
                                 std::vector<DeviceAttentionPlan*>& device_plans) {
  const int tiles = tiles_side_by_side(plan, planned), queries_per_item = tiles * kTileQueries;
  const int count = count_items(plan, planned, tiles);
  StepWave wave;
  wave.first_row = planned.first_row;
  wave.rows = planned.last_row - planned.first_row;
  wave.max_items = padded_items(count);
  const auto [staged, device_plan] = staging_.take<DeviceAttentionPlan>(1);
  const auto [items, device_items] = staging_.take<WorkItem>(wave.max_items);
  staged->num_items = count;
  device_plans.push_back(staged);
  wave.plan = device_plan;
  wave.items = device_items;
  WorkItem* next = items;
  const auto [first, last] = planned_items(planned);
  for (int i = first; i < last; ++i) {
    const AttentionPlan::WorkItem& item = plan.item(i);
    int begin = kKvChunkTokens, end = 0;
    for (int r = 0; r < item.count; ++r) {
      const AttentionPlan::QueryRead& read = plan.reads()[item.first + r];
      begin = std::min(begin, read.begin);
      end = std::max(end, read.tokens);
    }
    const int first_block = static_cast<int>(blocks_.size()), num_blocks = blocks_for(end);
    blocks_.insert(blocks_.end(), item.blocks, item.blocks + num_blocks);
    const int queries = item.count * group_;
    for (int query = 0; query < queries; query += queries_per_item) {
      const int end_query = std::min(queries, query + queries_per_item);
      // An item that has fewer tiles leaves more warps to each.
      int side_by_side = tiles;
      while (side_by_side > 1 && (end_query - query) * 2 <= side_by_side * kTileQueries)
        side_by_side /= 2;
      *next++ = {first_block, begin / kBlockTokens, num_blocks, item.first, query,
                 end_query,   side_by_side};
    }
  }
  return wave;
}

}  // namespace anabranch::ANABRANCH_CUDA
