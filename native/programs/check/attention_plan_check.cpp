// The attention plan.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "backends/attention_plan.h"
#include "check/checks.h"

namespace anabranch {
/// Every row gets its chunks once, in context order, from the blocks that its spans name. Lanes of
/// a stage, rows of one prefill, and requests that share cached blocks read a chunk together.
void check_attention_plan() {
  constexpr int kHeads = 2, kThreads = 3;
  std::vector<int> trunk(40), twin;  // differs from the trunk within the second chunk
  for (int i = 0; i < 40; ++i) trunk[i] = i;
  twin = trunk;
  for (int i = 20; i < 40; ++i) twin[i] = 40 + i;
  std::vector<std::vector<int>> own;
  Batch batch;
  for (int i = 0; i < 300; ++i) own.push_back({100 + 2 * i, 101 + 2 * i});
  const auto row = [&](std::vector<KvSpan> spans) {
    Row r;
    r.first_span = static_cast<int>(batch.spans.size());
    r.num_spans = static_cast<int>(spans.size());
    batch.spans.insert(batch.spans.end(), spans.begin(), spans.end());
    batch.rows.push_back(r);
  };
  for (int i = 0; i < 200; ++i) {
    row({{trunk.data(), 600}, {nullptr, 0}, {own[i].data(), 1 + i % 32}});
  }
  for (int i = 200; i < 220; ++i) row({{twin.data(), 640}, {own[i].data(), 5}});
  for (int t = 0; t < 300; ++t) row({{trunk.data(), 1 + t}});

  std::string wrong;
  for (int max_partials : {1100, 5000}) {
    AttentionPlan plan(1000, max_partials, kHeads, 7, kThreads);
    for (int again = 0; again < 2; ++again) {
      plan.build(batch);
      std::vector<int> seen(batch.rows.size() * 8 * kHeads);
      int next_row = 0;
      for (const AttentionPlan::Wave& wave : plan.waves()) {
        if (wave.first_row != next_row) wrong = "waves are not consecutive";
        next_row = wave.last_row;
        for (int item = wave.thread_items.front(); item < wave.thread_items.back(); ++item) {
          const AttentionPlan::WorkItem& work = plan.item(item);
          for (int i = 0; i < work.count; ++i) {
            const AttentionPlan::QueryRead& read = plan.reads()[work.first + i];
            const Row& r = batch.rows[read.row];
            int partial = plan.first_partial(read.row);
            for (int s = r.first_span; s < r.first_span + r.num_spans; ++s) {
              const KvSpan& span = batch.spans[s];
              for (int t = 0; t < span.length; t += kKvChunkTokens, ++partial) {
                if (partial != read.partial) continue;
                const int tokens = std::min(kKvChunkTokens, span.length - t);
                if (read.tokens != tokens ||
                    !std::equal(work.blocks, work.blocks + (tokens + 15) / 16,
                                span.blocks + t / 16)) {
                  wrong = "a row reads something outside its context";
                }
                ++seen[(read.row * 8 + partial - plan.first_partial(read.row)) * kHeads +
                       work.kv_head];
              }
            }
            if (read.partial >= max_partials || partial > max_partials)
              wrong = "max_partials run over";
          }
        }
        for (int i = 0; i < kThreads; ++i) {
          if (wave.thread_items[i] > wave.thread_items[i + 1])
            wrong = "a thread's items are not a range";
        }
      }
      if (next_row != static_cast<int>(batch.rows.size())) wrong = "rows are missing";
      for (size_t r = 0; r < batch.rows.size(); ++r) {
        for (int partial = 0; partial < 8; ++partial) {
          for (int head = 0; head < kHeads; ++head) {
            const int times = partial < plan.num_partials(static_cast<int>(r)) ? 1 : 0;
            if (seen[(r * 8 + partial) * kHeads + head] != times) {
              wrong = "a chunk is not computed exactly once";
            }
          }
        }
      }
    }
    // In one wave: the trunk's three chunks (the third has 88 tokens), the twin's two own chunks,
    // and the lanes' last blocks.
    long long ends = 20 * 5;
    for (int i = 0; i < 200; ++i) ends += 1 + i % 32;
    if (max_partials == 5000 && plan.kv_tokens() != 600 + (640 - 256) + ends) {
      wrong = "the number of KV tokens is " + std::to_string(plan.kv_tokens());
    }
  }
  report("attention plan", wrong);
}

/// With a window, rows read the visible end of each span alone, from the chunk on that holds its
/// first token, and of spans before the window nothing.
void check_window_plan() {
  std::vector<int> trunk(40), branch(2), rest(2);
  for (int i = 0; i < 40; ++i) trunk[i] = i;
  branch = {50, 51};
  rest = {60, 61};
  // A trunk of 600 tokens, a branch of 20 beside another that is not listed, and what follows the
  // join: its first row has position 650.
  Batch batch;
  batch.spans = {{trunk.data(), 600, 0}, {branch.data(), 20, 600}, {rest.data(), 1, 650}};
  Row row;
  row.position = 650;
  row.num_spans = 3;
  batch.rows = {row};
  struct Read {
    int begin, tokens;
    const int* blocks;
  };
  const auto reads = [&](int window) {
    AttentionPlan plan(100, 100, 1, 4, 1);
    plan.build(batch, window);
    std::vector<Read> out(plan.num_partials(0));
    const AttentionPlan::Wave& wave = plan.waves().front();
    for (int item = wave.thread_items.front(); item < wave.thread_items.back(); ++item) {
      const AttentionPlan::QueryRead& read = plan.reads()[plan.item(item).first];
      out[read.partial] = {read.begin, read.tokens, plan.item(item).blocks};
    }
    return out;
  };
  const std::vector<std::pair<int, std::vector<Read>>> cases = {
      {0,
       {{0, 256, &trunk[0]},
        {0, 256, &trunk[16]},
        {0, 88, &trunk[32]},
        {0, 20, &branch[0]},
        {0, 1, &rest[0]}}},
      {651,
       {{0, 256, &trunk[0]},
        {0, 256, &trunk[16]},
        {0, 88, &trunk[32]},
        {0, 20, &branch[0]},
        {0, 1, &rest[0]}}},
      {391, {{4, 256, &trunk[16]}, {0, 88, &trunk[32]}, {0, 20, &branch[0]}, {0, 1, &rest[0]}}},
      {139, {{0, 88, &trunk[32]}, {0, 20, &branch[0]}, {0, 1, &rest[0]}}},
      {51, {{0, 20, &branch[0]}, {0, 1, &rest[0]}}},
      {32, {{19, 20, &branch[0]}, {0, 1, &rest[0]}}},
      {31, {{0, 1, &rest[0]}}},
      {1, {{0, 1, &rest[0]}}}};
  std::string wrong;
  for (const auto& [window, want] : cases) {
    const auto got = reads(window);
    const bool same = std::equal(
        got.begin(), got.end(), want.begin(), want.end(), [](const Read& a, const Read& b) {
          return a.begin == b.begin && a.tokens == b.tokens && a.blocks == b.blocks;
        });
    if (!same) wrong = "a window of " + std::to_string(window) + " reads other tokens";
  }
  report("attention plan with a window", wrong);
}

/// Eight lanes over two equal chunks, each with its own last block: two threads get equal work.
void check_plan_balance() {
  std::vector<int> trunk(32);
  for (int i = 0; i < 32; ++i) trunk[i] = i;
  std::vector<int> own(8);
  Batch batch;
  for (int i = 0; i < 8; ++i) {
    own[i] = 40 + i;
    Row row;
    row.first_span = static_cast<int>(batch.spans.size());
    row.num_spans = 2;
    batch.spans.insert(batch.spans.end(), {{trunk.data(), 512}, {&own[i], 10}});
    batch.rows.push_back(row);
  }
  AttentionPlan plan(100, 100, 2, 7, 2);
  plan.build(batch);
  const AttentionPlan::Wave& wave = plan.waves().front();
  std::array<int, 2> tokens{};
  for (int thread = 0; thread < 2; ++thread) {
    for (int item = wave.thread_items[thread]; item < wave.thread_items[thread + 1]; ++item) {
      for (int i = 0; i < plan.item(item).count; ++i) {
        tokens[thread] += plan.reads()[plan.item(item).first + i].tokens;
      }
    }
  }
  std::string wrong;
  if (tokens[0] != tokens[1] || tokens[0] != 8 * 522) {
    wrong = std::to_string(tokens[0]) + " and " + std::to_string(tokens[1]) + " tokens";
  }
  report("attention plan balance", wrong);
}

}  // namespace anabranch
