// Logits of requests with LoRA adapters against fp32 weights on the CPU with the same adapters, and
// that no request's bits depend on what others have.
#include <chrono>
#include <filesystem>
#include <future>
#include <optional>

#include "backends/cuda/backend.h"
#include "backends/cuda/runtime.h"
#include "bench/random_adapter.h"
#include "cuda_check/checks.h"
#include "serving/scheduler.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// Of bf16 logits.
constexpr double kAcceptedNmse = 1e-3;
/// That an adapter changes the logits at least.
constexpr double kLeastEffect = 1e-2;

constexpr AdapterRanks kEverything = {3, 5, 2, 4, 3, 6, 7}, kAttention = {8, 0, 8, 0, 0, 0, 0};

/// A text, and the adapter that it is scored with, or null.
struct AdaptedText {
  std::vector<StructureRun> runs;
  ServedAdapterPtr adapter;
};

/// Logits of texts that are scored together.
std::vector<std::vector<float>> logits_of_all(Backend& backend,
                                              const std::vector<AdaptedText>& texts,
                                              int prefill_rows) {
  SchedulerOptions options;
  options.prefill_rows = prefill_rows;
  options.validate = true;
  Scheduler scheduler(backend, std::nullopt, options);
  std::vector<std::future<Score>> scores;
  std::vector<std::shared_ptr<Request>> requests;
  for (const AdaptedText& text : texts) {
    std::promise<Score> promise;
    scores.push_back(promise.get_future());
    const auto id = static_cast<std::uint32_t>(requests.size());
    requests.push_back(scheduler.make_score(id, text.runs, ResumeRule::kSum, {.logits = true},
                                            text.adapter, std::move(promise)));
  }
  scheduler.submit(std::move(requests));
  EventBuffer events;
  std::vector<std::vector<float>> out;
  for (std::future<Score>& score : scores) {
    while (score.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      scheduler.step(events);
    out.push_back(score.get().logits);
  }
  return out;
}

}  // namespace

void check_adapters(const std::string& folder, const BackendOptions& given, Report report) {
  const std::string name =
      kName + (std::filesystem::path(folder) / "").parent_path().filename().string() + " ";
  const ModelConfig config = read_config(folder);
  const Checkpoint weights(folder);
  BackendOptions options = given;
  options.kv_bytes = std::uint64_t{64} << 20;
  options.max_rows = 128;
  const auto adapters = [&] {
    return std::vector<std::shared_ptr<ServedAdapter>>{
        nullptr, random_adapter(config, 1, kEverything, true),
        random_adapter(config, 2, kAttention, false)};
  };
  const auto texts_with = [&](const std::vector<std::shared_ptr<ServedAdapter>>& served) {
    std::vector<AdaptedText> out;
    for (const auto& adapter : served) {
      // Longer than a tile of rows; the second has the tokens that its adapter has trained.
      auto runs = random_text(config.vocabulary, {19, 9, 6});
      if (adapter && adapter->weights.vocabulary > config.vocabulary)
        runs[0].tokens[0][3] = runs[1].tokens[1][0] = config.vocabulary;
      runs[2].tokens[0][1] = 2;
      out.push_back({runs, adapter});
    }
    return out;
  };
  const auto prepared = [&](Backend& of) {
    auto served = adapters();
    for (const auto& adapter : served) {
      if (adapter) of.prepare(adapter->weights);
    }
    return texts_with(served);
  };
  const char* const names[] = {"no adapter", "every product", "attention"};

  options.weight_type = WeightType::kF32;
  const auto cpu = make_cpu_backend(config, weights, options);
  const auto want = logits_of_all(*cpu, prepared(*cpu), 128);
  options.weight_type = WeightType::kBF16;
  const auto backend = [&](bool deterministic) {
    options.deterministic = deterministic;
    return make_backend(config, weights, options, 0);
  };
  const auto fast = backend(false);
  const std::vector<AdaptedText> texts = prepared(*fast);
  for (int rows : {128, 7}) {
    const auto got = logits_of_all(*fast, texts, rows);
    for (size_t i = 0; i < texts.size(); ++i) {
      const double error = nmse(got[i], want[i]);
      report(name + names[i] + ", beside others, " + std::to_string(rows) + " rows: NMSE " +
                 short_number(error),
             error <= kAcceptedNmse ? "" : "above " + short_number(kAcceptedNmse));
    }
    const double effect = nmse(got[2], got[0]);
    report(name + "an adapter changes the logits", effect >= kLeastEffect ? "" : "it does not");
  }

  const auto deterministic = backend(true);
  const auto before = logits_of_all(*deterministic, {texts_with(adapters())[0]}, 128);
  const std::vector<AdaptedText> together = prepared(*deterministic);
  const auto got = logits_of_all(*deterministic, together, 128);
  report(name + "no adapter, beside others, deterministic",
         got[0] == before[0] ? "" : "logits differ from those before any was loaded");
  for (size_t i = 1; i < together.size(); ++i) {
    const auto alone = logits_of_all(*deterministic, {together[i]}, 7);
    report(name + names[i] + ", deterministic",
           got[i] == alone[0] ? "" : "logits depend on the batch");
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
