// The likeliest legal token of a row of logits.
#include "device.cuh"
#include "kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;

struct Best {
  float logit;
  int token;  // -1: none
};

/// The lowest id among equals; NaN never wins, nor what is masked.
__device__ inline void take(Best& best, float logit, int token) {
  if (token < 0 || !(logit > as_float(0xff800000u))) return;
  if (best.token < 0 || logit > best.logit || (logit == best.logit && token < best.token)) {
    best = {logit, token};
  }
}

__device__ inline void take_from_lane(Best& best, int step) {
  const float logit = __shfl_xor_sync(0xffffffffu, best.logit, step);
  const int token = __shfl_xor_sync(0xffffffffu, best.token, step);
  take(best, logit, token);
}

/// One pick a block: first the edits, then the search.
__global__ void __launch_bounds__(kThreads)
    choose_rows(float* logits, int vocabulary, const GreedyPick* picks, const Edit* edits,
                const int* only, int* out) {
  __shared__ Best bests[kWarps];
  const GreedyPick pick = picks[blockIdx.x];
  float* row = logits + static_cast<size_t>(pick.row) * vocabulary;
  const int me = static_cast<int>(threadIdx.x), lane = me % kWarp, warp = me / kWarp;
  if (me == 0) {  // one after another: a token may be edited twice
    for (int i = 0; i < pick.edits; ++i) {
      const Edit& edit = edits[pick.first_edit + i];
      float& logit = row[edit.token];
      if (edit.repetition != 1) {
        logit = logit > 0 ? logit / edit.repetition : logit * edit.repetition;
      }
      logit -= edit.less;
    }
  }
  __syncthreads();
  Best best = {0, -1};
  if (pick.only > 0) {
    for (int i = me; i < pick.only; i += kThreads) {
      const int token = only[pick.first_only + i];
      take(best, row[token], token);
    }
  } else {
    for (int i = me; i < vocabulary; i += kThreads) take(best, row[i], i);
  }
  for (int step = kWarp / 2; step > 0; step /= 2) take_from_lane(best, step);
  if (lane == 0) bests[warp] = best;
  __syncthreads();
  if (me == 0) {
    for (int w = 0; w < kWarps; ++w) take(best, bests[w].logit, bests[w].token);
    out[blockIdx.x] = best.token;
  }
}

}  // namespace

void choose_greedy(float* logits, int vocabulary, const GreedyPick* picks, int count,
                   const Edit* edits, const int* only, int* out, cudaStream_t stream) {
  launch(choose_rows, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, logits,
         vocabulary, picks, edits, only, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
