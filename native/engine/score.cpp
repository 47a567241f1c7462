#include "score.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"
#include "sampler.h"

namespace anabranch {
namespace {

/// Where the logits of a row belong.
struct Place {
  size_t run, list, token;  // the token that the row is the input of
  size_t serial;            // its index in serialised order
};

constexpr size_t kLogitsRows = 64;  // forwarded together at most where the vocabulary is large

}  // namespace

void check_structure(const std::vector<StructureRun>& runs, int vocabulary, int context) {
  size_t total = 0;
  for (size_t r = 0; r < runs.size(); ++r) {
    for (const auto& tokens : runs[r].tokens) {
      total += tokens.size();
      for (int token : tokens) {
        if (token >= 0 && token < vocabulary) continue;
        throw bad_argument("run " + std::to_string(r) + ": token id " + std::to_string(token) +
                           " is outside the vocabulary of " + std::to_string(vocabulary));
      }
    }
  }
  if (total > static_cast<size_t>(context)) {
    throw Error(ErrorCode::kOutOfRange, std::to_string(total) + " tokens are more than the " +
                                            std::to_string(context) + " positions of the model");
  }
}

Score score(Backend& backend, BlockPool& pool, const std::vector<StructureRun>& runs,
            ResumeRule resume, bool want_logits) {
  const int vocabulary = backend.config().vocabulary;
  check_structure(runs, vocabulary, backend.config().context);
  size_t blocks = 0;
  for (const auto& run : runs) {
    for (const auto& tokens : run.tokens) blocks += tokens.size() / kBlockTokens + 1;
  }
  if (!pool.reserve(static_cast<int>(blocks))) {
    throw Error(ErrorCode::kResourceExhausted,
                "scoring needs " + std::to_string(blocks) + " KV blocks and " +
                    std::to_string(pool.total() - pool.reserved()) + " are free");
  }
  struct Reservation {
    BlockPool& pool;
    int blocks;
    ~Reservation() { pool.unreserve(blocks); }
  } reservation{pool, static_cast<int>(blocks)};

  Score out;
  size_t total = 0;
  for (const auto& run : runs) {
    auto& lists = out.logprobs.emplace_back();
    for (const auto& tokens : run.tokens) {
      lists.emplace_back(tokens.size(), std::numeric_limits<float>::quiet_NaN());
      total += tokens.size();
    }
  }
  if (want_logits) out.logits.resize(total * vocabulary);

  LaneTree tree(pool);
  Batch batch;
  std::vector<Place> places;
  std::vector<float> logits;
  const auto flush = [&] {
    if (batch.rows.empty()) return;
    logits.resize(static_cast<size_t>(batch.logits_rows) * vocabulary);
    backend.forward(batch, logits.data());
    for (size_t i = 0; i < places.size(); ++i) {
      const Place& at = places[i];
      const std::span<const float> row(logits.data() + i * vocabulary, vocabulary);
      const auto& tokens = runs[at.run].tokens[at.list];
      if (at.token + 1 < tokens.size()) {
        out.logprobs[at.run][at.list][at.token + 1] = log_probability(row, tokens[at.token + 1]);
      }
      if (want_logits) {
        std::copy(row.begin(), row.end(), out.logits.begin() + at.serial * vocabulary);
      }
    }
    batch.clear();
    places.clear();
  };
  // One pass as far as the backend takes that many rows; every row depends on earlier ones only.
  const size_t limit = std::min<size_t>(backend.max_rows(),
                                        vocabulary > 8192 ? kLogitsRows : backend.max_rows());
  size_t serial = 0;
  const auto add = [&](size_t run, size_t list) {
    const size_t n = runs[run].tokens[list].size();
    for (size_t i = 0; i < n;) {
      if (batch.rows.size() >= limit) flush();
      const size_t before = batch.rows.size();
      tree.add_rows(batch, static_cast<int>(limit - before), true);
      for (size_t row = before; row < batch.rows.size(); ++row) {
        places.push_back({run, list, i++, serial++});
      }
    }
  };
  for (size_t r = 0; r < runs.size(); ++r) {
    if (!runs[r].parallel) {
      if (r > 0 && !runs[r - 1].parallel) tree.begin_segment();
      tree.trunk().pending = runs[r].tokens[0];
      add(r, 0);
      continue;
    }
    tree.fork(std::vector<std::vector<int>>(runs[r].tokens.size()));
    for (size_t list = 0; list < runs[r].tokens.size(); ++list) {
      tree.branches()[list].pending = runs[r].tokens[list];
      add(r, list);
    }
    tree.join(resume);
  }
  flush();
  return out;
}

}  // namespace anabranch
