// Attention kernels against softmax attention in double precision.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "check/checks.h"
#include "check/values.h"

namespace anabranch {
namespace {

/// KV of one head, as blocks and as plain rows.
struct TestKv {
  std::vector<std::byte> k, v;
  std::vector<std::vector<int>> blocks;  // of each segment
  std::vector<KvSpan> spans;
  std::vector<std::vector<float>> keys, values;  // [tokens][head_dim], as stored
};

TestKv make_kv(WeightType type, const std::vector<int>& lengths, int head_dim, int kv_heads,
               int kv_head, float scale, Numbers& numbers) {
  TestKv cache;
  const size_t element = type == WeightType::kF32 ? 4 : 2;
  const size_t tile = static_cast<size_t>(kBlockTokens) * head_dim;
  int total = 0;
  for (int length : lengths) {
    auto& blocks = cache.blocks.emplace_back();
    for (int t = 0; t < length; t += kBlockTokens) blocks.push_back(total++);
  }
  // The blocks of a segment are not adjacent.
  for (auto& blocks : cache.blocks) {
    for (int& block : blocks) block = (block * 7 + 3) % (total % 7 ? total : total + 1);
  }
  cache.k.resize((total + 1) * kv_heads * tile * element);
  cache.v.resize(cache.k.size());
  // Slots without a token must not matter: V is NaN there.
  std::memset(cache.k.data(), 0, cache.k.size());
  std::memset(cache.v.data(), 0xff, cache.v.size());
  const auto put = [&](std::vector<std::byte>& to, size_t index, float value) {
    if (type == WeightType::kF32) {
      std::memcpy(to.data() + index * 4, &value, 4);
    } else {
      const std::uint16_t bits = to_bf16(value);
      std::memcpy(to.data() + index * 2, &bits, 2);
    }
  };
  for (size_t s = 0; s < lengths.size(); ++s) {
    for (int t = 0; t < lengths[s]; ++t) {
      const size_t base =
          (static_cast<size_t>(cache.blocks[s][t / kBlockTokens]) * kv_heads + kv_head) * tile;
      const int offset = t % kBlockTokens;
      auto& key = cache.keys.emplace_back(numbers.list(head_dim, scale));
      auto& value = cache.values.emplace_back(numbers.list(head_dim));
      for (int d = 0; d < head_dim; ++d) {
        put(cache.k, base + static_cast<size_t>(d) * kBlockTokens + offset, key[d]);
        put(cache.v, base + static_cast<size_t>(offset) * head_dim + d, value[d]);
        key[d] = stored(type, key[d]);
        value[d] = stored(type, value[d]);
      }
    }
  }
  for (size_t s = 0; s < lengths.size(); ++s) {
    cache.spans.push_back({cache.blocks[s].data(), lengths[s]});
  }
  return cache;
}

/// `hidden`: tokens at the start of the context that the row does not see, as with a sliding
/// window.
std::string attend_wrong(const Kernels& kernels, WeightType type, const std::vector<int>& lengths,
                         int hidden, int head_dim, int group, float scale) {
  Numbers numbers(static_cast<std::uint64_t>(head_dim) * 100 + group);
  constexpr int kHeads = 3, kHead = 1;
  const TestKv cache = make_kv(type, lengths, head_dim, kHeads, kHead, scale, numbers);
  const auto q = numbers.list(static_cast<size_t>(group) * head_dim);
  // One row of `count` heads over its whole context, alone or among rows with shorter contexts.
  const auto run = [&](int first, int count, bool among_others) {
    const size_t stride = partial_size(count, head_dim);
    std::vector<float> scratch(attend_scratch_floats(head_dim));
    std::vector<float> partials, others(4 * stride);
    std::vector<float> out(static_cast<size_t>(count) * head_dim);
    int chunks = 0, before = 0;  // tokens before the chunk
    for (const KvSpan& span : cache.spans) {
      for (int t = 0; t < span.length; t += kKvChunkTokens) {
        const int tokens = std::min(kKvChunkTokens, span.length - t);
        const int begin = std::max(0, hidden - before);
        before += tokens;
        if (begin >= tokens) continue;
        partials.resize(++chunks * stride);
        const float* query = q.data() + static_cast<size_t>(first) * head_dim;
        std::vector<ChunkQuery> rows = {{query, begin, tokens, &partials[(chunks - 1) * stride]}};
        if (among_others) {
          rows.insert(rows.begin(), {query, 0, std::max(1, tokens - 1), &others[0]});
          rows.push_back({query, tokens / 3, (tokens + 2) / 2, &others[stride]});
          rows.push_back({query, 0, 1, &others[2 * stride]});
          rows.push_back({query, tokens - 1, tokens, &others[3 * stride]});
        }
        AttendChunk chunk;
        chunk.rows = rows.data();
        chunk.row_count = static_cast<int>(rows.size());
        chunk.group = count;
        chunk.head_dim = head_dim;
        chunk.blocks = span.blocks + t / kBlockTokens;
        chunk.k = cache.k.data();
        chunk.v = cache.v.data();
        chunk.kv_heads = kHeads;
        chunk.kv_head = kHead;
        chunk.scratch = scratch.data();
        kernels.attend(type, chunk);
      }
    }
    for (int head = 0; head < count; ++head) {
      kernels.merge({&partials[head * head_dim], &partials[count * head_dim + 2 * head],
                     static_cast<std::ptrdiff_t>(stride), chunks, head_dim,
                     &out[static_cast<size_t>(head) * head_dim]});
    }
    return out;
  };
  const auto together = run(0, group, false);
  if (!same(run(0, group, true), together)) return "a row differs from the same row among others";
  for (int g = 0; g < group; ++g) {
    const std::vector<float> mine(together.begin() + static_cast<size_t>(g) * head_dim,
                                  together.begin() + static_cast<size_t>(g + 1) * head_dim);
    if (!same(run(g, 1, false), mine)) return "a head differs from the same head alone";
    std::vector<double> weights;
    double top = -INFINITY, total = 0;
    for (size_t t = 0; t < cache.keys.size(); ++t) {
      const auto& key = cache.keys[t];
      double score = 0;
      for (int d = 0; d < head_dim; ++d) {
        score += static_cast<double>(q[static_cast<size_t>(g) * head_dim + d]) * key[d];
      }
      if (static_cast<int>(t) < hidden) score = -INFINITY;
      weights.push_back(score);
      top = std::max(top, score);
    }
    for (double& weight : weights) total += weight = std::exp(weight - top);
    for (int d = 0; d < head_dim; ++d) {
      double want = 0;
      for (size_t t = 0; t < weights.size(); ++t) want += weights[t] / total * cache.values[t][d];
      // Scores of size s add an error of about s · 2^-23 to the weights.
      if (!(std::abs(mine[d] - want) <= 1e-6 * (1 + scale * std::sqrt(head_dim))))
        return mismatch("out", g, d, mine[d], want);
    }
  }
  return "";
}

}  // namespace

void check_attention(const Kernels& kernels, WeightType type) {
  const std::vector<std::vector<int>> contexts = {{1},
                                                  {16},
                                                  {17},
                                                  {255},
                                                  {256},
                                                  {257},
                                                  {600},
                                                  {1, 1, 1},
                                                  {33, 5, 300, 16, 1},
                                                  {256, 256, 7},
                                                  {40, 3, 3, 3, 3, 3, 3, 3, 3, 90}};
  std::string wrong;
  for (const auto& lengths : contexts) {
    for (int head_dim : {2, 16, 24, 64, 80, 128}) {
      for (int group : {1, 3, 4, 7, 16}) {
        for (float scale : {1.0f, 40.0f}) {
          int total = 0;
          for (int length : lengths) total += length;
          for (int hidden : {0, total / 3, total - 1}) {
            if (!wrong.empty()) break;
            wrong = attend_wrong(kernels, type, lengths, hidden, head_dim, group, scale);
          }
        }
      }
    }
  }
  report(std::string(kernels.name) + " " + name_of(type) + " attend", wrong);
}

}  // namespace anabranch
