// Gives broken model folders, adapters and absurd requests to the engine. Every outcome must be a
// typed Error or a finished request; all invariants are checked after every step, and every block
// must be free at the end. Meant to run under the sanitizers. Needs no Node and no model: it writes
// its own.
//   engine-fuzz [--seed N] [--rounds N] [--seconds N]
// Round i runs under seed N + i, which alone decides what it does (except for requests with a
// deadline), so `--seed S --rounds 1` repeats a round that failed. Answers are also continued from
// their logs at random steps, and must end as the first run does.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "error.h"
#include "fuzz/broken_files.h"
#include "fuzz/dice.h"
#include "fuzz/engine_session.h"
#include "fuzz/model_files.h"

namespace anabranch {
namespace {

/// Texts with which random tokens often make a list.
std::shared_ptr<const OutlineRules> random_outline(const ModelShape& s, Dice& dice) {
  std::vector<std::string> texts = {"\n", ". **"};
  for (char digit = '0'; digit <= '9'; ++digit) texts.emplace_back(1, digit);
  while (static_cast<int>(texts.size()) < s.vocabulary) {
    const std::string word = "w" + std::to_string(texts.size());
    texts.push_back(dice.chance(95)
                        ? dice.pick<std::string>({"\n1. **", "\n2. **", "**:", "**:", "**:", word,
                                                  word, word, word, word})
                        : dice.pick<std::string>({"\n\n", "- **", " " + word, ""}));
  }
  texts.resize(static_cast<size_t>(s.vocabulary));
  auto rules = std::make_shared<OutlineRules>();
  rules->texts = std::make_shared<TokenTexts>(std::move(texts));
  rules->max_titles = dice.between(2, 5);
  rules->max_title_tokens = dice.between(2, 6);
  rules->max_mark_tokens = 6;
  rules->max_item_tokens = dice.between(1, 20);
  rules->max_stages = dice.between(1, 3);
  rules->min_room = dice.between(1, 30);
  rules->continue_probability = dice.pick<double>({0, 0.05, 1});
  rules->body_log_probability = dice.pick<double>({-1000, -5, 0});
  rules->body_sample = dice.between(1, 8);
  return rules;
}

EngineOptions random_options(const std::filesystem::path& folder, const ModelShape& s, int blocks,
                             Dice& dice) {
  EngineOptions out;
  out.model = folder;
  out.backend.weight_type = dice.pick<WeightType>(
      {WeightType::kBF16, WeightType::kF32, WeightType::kInt8, WeightType::kInt4});
  out.backend.threads = dice.chance(90) ? 1 : 2;
  const int element = out.backend.weight_type == WeightType::kF32 ? 4 : 2;
  const std::uint64_t block = 2ull * element * kBlockTokens * s.kv_heads * s.head_dim * s.layers;
  out.backend.kv_bytes = block * static_cast<std::uint64_t>(blocks);
  out.backend.max_rows = dice.pick<int>({8, 16, 64, 256});
  out.scheduler.max_running = dice.pick<int>({1, 2, 5, 64});
  out.scheduler.max_queue = dice.pick<int>({1, 3, 256});
  out.scheduler.prefill_rows = dice.pick<int>({1, 7, 16, 128});
  out.scheduler.branches = branch_schedule_of(
      dice.pick<std::string>({"eager", "eager", "off", "cap:2", "cap:3", "slack"}));
  out.scheduler.branches.max_time_per_token = dice.pick<double>({0, 1e-6, 1e-4, 1e-3});
  out.scheduler.validate = true;
  if (dice.chance(80)) out.outline = random_outline(s, dice);
  return out;
}

struct Counts {
  int loaded = 0, refused = 0;
  OutlineCounts outlines;
};

/// Gives the session an adapter, which may be broken: then it is refused with a typed Error.
void load_adapter(EngineSession& session, const std::filesystem::path& folder,
                  const ModelShape& shape, bool broken, Dice& dice) {
  Files files = random_adapter(shape, dice);
  if (broken) break_files(files, dice);
  const std::filesystem::path path = folder / ("adapter-" + std::to_string(dice.below(1 << 20)));
  write_folder(path, files, dice);
  try {
    session.load_adapter(path);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal || std::string(error.what()).empty()) throw;
  }
}

/// A broken folder is refused with a typed Error, or it loads and serves.
std::string folder_round(const std::filesystem::path& folder, Dice& dice, Counts& counts) {
  const ModelShape shape = random_shape(dice);
  Files files = random_model(shape, dice);
  break_files(files, dice);
  write_folder(folder, files, dice);
  const EngineOptions options = random_options(folder, shape, dice.between(8, 24), dice);
  try {
    EngineSession session(options, shape, 3, dice);
    ++counts.loaded;
    for (int i = dice.below(4); i > 0; --i) load_adapter(session, folder, shape, true, dice);
    const std::string wrong = session.run();
    counts.outlines += session.outlines();
    return wrong;
  } catch (const Error& error) {
    ++counts.refused;
    if (error.code() == ErrorCode::kInternal) return std::string("internal: ") + error.what();
    if (std::string(error.what()).empty()) return "an error without a message";
    return "";
  }
}

/// An intact model with absurd requests.
std::string request_round(const std::filesystem::path& folder, Dice& dice, Counts& counts) {
  const ModelShape shape = random_shape(dice);
  write_folder(folder, random_model(shape, dice), dice);
  const int blocks = dice.chance(50) ? dice.between(8, 16) : dice.between(16, 80);
  try {
    EngineSession session(random_options(folder, shape, blocks, dice), shape, 60, dice);
    for (int i = dice.below(3); i > 0; --i) load_adapter(session, folder, shape, false, dice);
    const std::string wrong = session.run();
    counts.outlines += session.outlines();
    return wrong;
  } catch (const Error& error) {
    return error.code() == ErrorCode::kInternal ? error.what()
                                                : "";  // write_folder() left a file out
  }
}

/// The number after a flag. Exits if it is not a number.
std::uint64_t number_after(int& i, int count, char** arguments) {
  char* end = nullptr;
  const std::uint64_t value = i + 1 < count ? std::strtoull(arguments[i + 1], &end, 10) : 0;
  if (!end || end == arguments[i + 1] || *end) {
    std::fprintf(stderr, "engine-fuzz: %s needs a number\n", arguments[i]);
    std::exit(2);
  }
  ++i;
  return value;
}

int fuzz(int count, char** arguments) {
  std::uint64_t seed = 1, rounds = UINT64_MAX, seconds = 0;
  for (int i = 1; i < count; ++i) {
    const std::string flag = arguments[i];
    if (flag == "--seed")
      seed = number_after(i, count, arguments);
    else if (flag == "--rounds")
      rounds = number_after(i, count, arguments);
    else if (flag == "--seconds")
      seconds = number_after(i, count, arguments);
    else {
      std::fprintf(stderr, "engine-fuzz [--seed N] [--rounds N] [--seconds N]\n");
      return flag == "--help" ? 0 : 2;
    }
  }
  if (rounds == UINT64_MAX && seconds == 0) rounds = 400;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("anabranch-fuzz-" + std::to_string(::getpid()));
  const auto began = std::chrono::steady_clock::now();
  Counts counts;
  std::uint64_t round = 0;
  int failed = 0;
  for (; round < rounds; ++round) {
    if (seconds > 0 && std::chrono::steady_clock::now() - began >= std::chrono::seconds(seconds)) {
      break;
    }
    // If the round kills the process, this line says which round it was.
    std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(seed + round));
    Dice dice(seed + round);
    std::string wrong;
    try {
      wrong = dice.chance(70) ? folder_round(folder, dice, counts)
                              : request_round(folder, dice, counts);
    } catch (const std::exception& error) {
      wrong = std::string("not a typed error: ") + error.what();
    }
    if (wrong.empty()) continue;
    ++failed;
    std::printf("FAIL seed %llu: %s\n", static_cast<unsigned long long>(seed + round),
                wrong.c_str());
  }
  std::filesystem::remove_all(folder);
  std::printf(
      "%llu rounds, %d folders loaded, %d refused; outlines: %d stages, %d branches "
      "accepted, %d dropped; %d failed\n",
      static_cast<unsigned long long>(round), counts.loaded, counts.refused, counts.outlines.stages,
      counts.outlines.accepted, counts.outlines.dropped, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace anabranch

int main(int count, char** arguments) { return anabranch::fuzz(count, arguments); }
