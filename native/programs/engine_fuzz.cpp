// Throws broken model folders and absurd requests at the engine. Every outcome must be a typed Error
// or a finished request, with all invariants checked after every step and every block free at the
// end; the sanitizers watch the rest. No Node, no model: it writes its own.
//   engine-fuzz [--seed N] [--rounds N] [--seconds N]
// Round i runs under seed N + i and nothing else decides what it does (but for requests with a
// deadline), so `--seed S --rounds 1` repeats the round that is told to have failed. Answers are also
// taken up from their logs at random steps, and must end as the first run of them does.
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "serving/engine.h"
#include "error.h"
#include "number_formats.h"

namespace anabranch {
namespace {

namespace fs = std::filesystem;

/// The chances of one round.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : next_(seed) {}

  std::uint64_t word() { return next_(); }
  int below(int n) { return static_cast<int>(next_() % static_cast<std::uint64_t>(n)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  const T& pick(const std::vector<T>& list) {
    return list[below(static_cast<int>(list.size()))];
  }
  float normal() {
    float sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(below(1 << 20)) / (1 << 20);
    return sum - 6;
  }

 private:
  std::mt19937_64 next_;
};

// ---- a small model folder that loads ---------------------------------------------------------------

using Files = std::map<std::string, std::string>;

struct Shape {
  std::string type;
  int vocabulary, hidden, layers, heads, kv_heads, head_dim, intermediate, context;
  bool tied;
};

struct Entry {
  std::string name;
  std::vector<int> shape;
};

std::vector<Entry> tensors_of(const Shape& s) {
  const int q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  std::vector<Entry> out = {{"model.embed_tokens.weight", {s.vocabulary, s.hidden}},
                            {"model.norm.weight", {s.hidden}}};
  if (!s.tied) out.push_back({"lm_head.weight", {s.vocabulary, s.hidden}});
  for (int layer = 0; layer < s.layers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    const auto add = [&](const std::string& name, std::vector<int> shape) {
      out.push_back({at + name, std::move(shape)});
    };
    add("input_layernorm.weight", {s.hidden});
    add("post_attention_layernorm.weight", {s.hidden});
    for (const auto& [name, n] : {std::pair{"q", q}, std::pair{"k", kv}, std::pair{"v", kv}}) {
      add(std::string("self_attn.") + name + "_proj.weight", {n, s.hidden});
      if (s.type == "qwen2") add(std::string("self_attn.") + name + "_proj.bias", {n});
    }
    if (s.type == "qwen3") {
      add("self_attn.q_norm.weight", {s.head_dim});
      add("self_attn.k_norm.weight", {s.head_dim});
    }
    add("self_attn.o_proj.weight", {s.hidden, q});
    add("mlp.gate_proj.weight", {s.intermediate, s.hidden});
    add("mlp.up_proj.weight", {s.intermediate, s.hidden});
    add("mlp.down_proj.weight", {s.hidden, s.intermediate});
  }
  return out;
}

std::string framed(const std::string& header, const std::string& body) {
  std::string out(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(out.data(), &length, 8);
  return out + header + body;
}

std::string safetensors(const std::vector<Entry>& entries, const std::string& dtype, Dice& dice) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}", body;
  for (const Entry& entry : entries) {
    int count = 1;
    std::string shape;
    for (int n : entry.shape) {
      count *= n;
      shape += (shape.empty() ? "" : ",") + std::to_string(n);
    }
    const size_t begin = body.size();
    const bool norm = entry.name.find("norm") != std::string::npos;
    for (int i = 0; i < count; ++i) {
      const float value = norm ? 1 + dice.normal() / 10 : dice.normal() / 4;
      if (dtype == "F32") {
        body.append(reinterpret_cast<const char*>(&value), 4);
      } else {
        const std::uint16_t bits = dtype == "BF16" ? to_bf16(value) : 0x3800;
        body.append(reinterpret_cast<const char*>(&bits), 2);
      }
    }
    header += ",\"" + entry.name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(body.size()) +
              "]}";
  }
  return framed(header + "}", body);
}

std::string config_of(const Shape& s, Dice& dice) {
  static const std::vector<std::string> ropes = {
      R"("rope_theta":10000.0)",
      R"("rope_theta":10000.0,"rope_scaling":{"type":"linear","factor":2.0})",
      R"("rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,)"
      R"("low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32})",
      R"("rope_parameters":{"rope_type":"yarn","rope_theta":10000.0,"factor":4.0,)"
      R"("beta_fast":32,"beta_slow":1,"original_max_position_embeddings":32})"};
  const auto field = [](const char* name, int value) {
    return std::string("\"") + name + "\":" + std::to_string(value) + ",";
  };
  return "{\"model_type\":\"" + s.type + "\"," + field("hidden_size", s.hidden) +
         field("num_hidden_layers", s.layers) + field("num_attention_heads", s.heads) +
         field("num_key_value_heads", s.kv_heads) + field("head_dim", s.head_dim) +
         field("intermediate_size", s.intermediate) + field("vocab_size", s.vocabulary) +
         field("max_position_embeddings", s.context) +
         "\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-6,\"tie_word_embeddings\":" +
         (s.tied ? "true" : "false") + ",\"eos_token_id\":2," + dice.pick(ropes) + "}";
}

/// Ids of the dialects below: their markers are among these, the first ones open plans and end titles
/// and branches.
constexpr int kTitleOpen = 4, kTitleClose = 5, kBranchClose = 8, kLastMarker = 12;

std::string dialect_of(Dice& dice) {
  const auto cap = [&](int low, int high) { return std::to_string(dice.between(low, high)); };
  const std::string numbers = R"(,"index":[{"ids":[20]},{"ids":[21]},{"ids":[22,23]},{"ids":[24]},)"
                              R"({"ids":[25]},{"ids":[26]}])";
  // One token a marker; tags with what follows them by itself, a number and a tail; and the same with
  // every tag in three pieces, which are ordinary text one by one. The last is prompted.
  const std::string markers = dice.pick<std::string>(
      {R"("title_open":{"ids":[4]},"title_close":{"ids":[5]},"fork":{"ids":[6]},)"
       R"("opening":[{"ids":[7]},"title",{"ids":[10,11]}],"branch_close":{"ids":[8]},)"
       R"("join":{"ids":[9)" +
           std::string(dice.chance(30) ? ",12" : "") + "]}",
       R"("plan_open":[{"ids":[4]},{"ids":[13,9,13]}],"title_open":[{"ids":[10]},{"ids":[13]},"index"],)"
       R"("title_close":[{"ids":[5]},{"ids":[13]}],"fork":[{"ids":[6]},{"ids":[13]}],)"
       R"("opening":[{"ids":[7]},{"ids":[13]},"index"],"branch_close":[{"ids":[8]},{"ids":[13]}],)"
       R"("join":[{"ids":[11]},{"ids":[13]}],"tail_close":[{"ids":[12]},{"ids":[13]}],)"
       R"("reserved":[{"ids":[9]}])" +
           numbers,
       R"("plan_open":[{"ids":[4,7,6]},{"ids":[13]}],"title_open":[{"ids":[4,9,6]},"index"],)"
       R"("title_close":[{"ids":[5,9,6]},{"ids":[13]}],"fork":[{"ids":[5,7,6]},{"ids":[13]}],)"
       R"("opening":[{"ids":[4,10,6]},"title","index"],"branch_close":[{"ids":[5,8,6]},{"ids":[13]}],)"
       R"("join":[{"ids":[4,11,6]}],"tail_close":[{"ids":[5,11,6]},{"ids":[13]}])" +
           numbers,
       R"("prompted":true,"title_open":{"ids":[4]},"no_plan":{"ids":[9,10]},)"
       R"("title_close":{"ids":[5],"or":[5,6]},"fork":{"ids":[5],"or":[6]},)"
       R"("opening":[{"ids":[7]},"title",{"ids":[6]}],"branch_close":{"ids":[6,5],"or":[7,8]},)"
       R"("join":{"ids":[5]})"});
  return R"({"version":1,"name":"fuzz",)" + markers + R"(,"visible":["serial","body")" +
         (dice.chance(50) ? R"(,"tail"])" : "]") + R"(,"resume":")" +
         (dice.chance(50) ? "sum" : "max") + R"(","caps":{"branches":)" + cap(2, 6) +
         R"(,"min_branches":)" + cap(1, 2) + R"(,"title_tokens":)" + cap(1, 3) +
         R"(,"branch_tokens":)" + cap(14, 24) + R"(,"stages":)" + cap(1, 4) + "}}";
}

Shape random_shape(Dice& dice) {
  Shape s;
  s.type = dice.pick<std::string>({"llama", "qwen2", "qwen3"});
  s.vocabulary = dice.between(40, 64);
  s.kv_heads = dice.between(1, 2);
  s.heads = s.kv_heads * dice.between(1, 3);
  s.head_dim = 2 * dice.between(1, 6);
  s.hidden = dice.between(3, 20);
  s.layers = dice.between(1, 2);
  s.intermediate = dice.between(1, 30);
  s.context = dice.between(24, 160);
  s.tied = dice.chance(50);
  return s;
}

Files model_files(const Shape& shape, Dice& dice) {
  Files out;
  out["config.json"] = config_of(shape, dice);
  if (dice.chance(60)) out["generation_config.json"] = R"({"eos_token_id":[2,3],"top_k":20})";
  if (dice.chance(85)) out["aspd.json"] = dialect_of(dice);
  const std::string dtype = dice.pick<std::string>({"F32", "BF16", "BF16", "F16"});
  const auto tensors = tensors_of(shape);
  if (dice.chance(60)) {
    out["model.safetensors"] = safetensors(tensors, dtype, dice);
    return out;
  }
  const size_t half = tensors.size() / 2;
  out["a.safetensors"] = safetensors({tensors.begin(), tensors.begin() + half}, dtype, dice);
  out["b.safetensors"] = safetensors({tensors.begin() + half, tensors.end()}, dtype, dice);
  std::string index;
  for (size_t i = 0; i < tensors.size(); ++i) {
    index += (i ? ",\"" : "\"") + tensors[i].name + (i < half ? "\":\"a" : "\":\"b") +
             ".safetensors\"";
  }
  out["model.safetensors.index.json"] = "{\"metadata\":{},\"weight_map\":{" + index + "}}";
  return out;
}

// ---- breaking it -------------------------------------------------------------------------------------

/// Where the values and members of a JSON text stand.
class JsonParts {
 public:
  struct Stretch {
    size_t begin, end;
  };
  std::vector<Stretch> values, members;

  explicit JsonParts(const std::string& text) : text_(text) { value(0); }

 private:
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  size_t blank(size_t i) const {
    while (at(i) == ' ' || at(i) == '\n') ++i;
    return i;
  }
  size_t quoted(size_t i) const {
    for (++i; i < text_.size() && at(i) != '"'; ++i) i += at(i) == '\\';
    return std::min(i + 1, text_.size());
  }
  /// Returns the end of the value at `i`. Text that is broken already ends somewhere, too.
  size_t value(size_t i, int depth = 0) {
    const size_t begin = i = blank(i);
    if (at(i) == '"') {
      i = quoted(i);
    } else if ((at(i) == '{' || at(i) == '[') && depth < 100) {
      const bool object = at(i) == '{';
      const char close = object ? '}' : ']';
      i = blank(i + 1);
      while (i < text_.size() && at(i) != close) {
        const size_t member = i;
        if (object) {
          i = blank(at(i) == '"' ? quoted(i) : i + 1);
          i += at(i) == ':';
        }
        i = std::max(value(i, depth + 1), member + 1);
        if (object) members.push_back({member, i});
        i = blank(i);
        i += at(i) == ',';
        i = blank(i);
      }
      ++i;
    } else {
      while (i < text_.size() && !std::strchr(",]} \n", at(i))) ++i;
    }
    i = std::min(i, text_.size());
    if (i > begin) values.push_back({begin, i});
    return i;
  }

  const std::string& text_;
};

std::string random_json(Dice& dice, int depth) {
  static const std::vector<std::string> leaves = {
      "0", "-0", "1", "-1", "2", "7", "16", "255", "65536", "2147483647", "2147483648",
      "-2147483649", "4294967296", "9007199254740993", "9223372036854775807",
      "18446744073709551615", "1e308", "-1e308", "1e400", "1e-320", "0.5", "1e18", "null", "true",
      "false", "\"\"", "\"llama\"", "\"title\"", "\"sum\"", "\"..\"", "\"a.safetensors\"",
      "\"\\u0000\"", "\"\\ud800\"", "[]", "{}", "nan", "\"\xff\""};
  if (depth == 0 || dice.chance(60)) return dice.pick(leaves);
  if (dice.chance(5)) return std::string(3000, '[');
  std::string out;
  const bool object = dice.chance(50);
  for (int i = dice.below(4); i > 0; --i) {
    out += (out.empty() ? "" : ",") + (object ? "\"" + std::to_string(i) + "\":" : std::string()) +
           random_json(dice, depth - 1);
  }
  return object ? "{" + out + "}" : "[" + out + "]";
}

void break_bytes(std::string& text, size_t within, Dice& dice) {
  for (int i = dice.between(1, 8); i > 0 && within > 0; --i) {
    text[dice.word() % within] = static_cast<char>(dice.word());
  }
}

void break_json(std::string& text, Dice& dice) {
  const JsonParts parts(text);
  const int kind = dice.below(10);
  if (kind < 5 && !parts.values.empty()) {
    const auto [begin, end] = dice.pick(parts.values);
    text.replace(begin, end - begin, random_json(dice, 3));
  } else if (kind < 7 && !parts.members.empty()) {
    auto [begin, end] = dice.pick(parts.members);
    if (end < text.size() && text[end] == ',') ++end;
    text.erase(begin, end - begin);
  } else if (kind < 8 && !parts.members.empty()) {
    const auto [begin, end] = dice.pick(parts.members);
    const std::string member = text.substr(begin, end - begin);
    text.insert(dice.pick(parts.members).begin, member + ",");
  } else if (kind < 9) {
    break_bytes(text, text.size(), dice);
  } else {
    text.resize(dice.word() % (text.size() + 1));
  }
}

void break_safetensors(std::string& file, Dice& dice) {
  std::uint64_t length = 0;
  if (file.size() > 8) std::memcpy(&length, file.data(), 8);
  if (file.size() <= 8 || length > file.size() - 8 || dice.chance(20)) {
    if (dice.chance(50)) file.resize(dice.word() % (file.size() + 1));
    else break_bytes(file, std::min<size_t>(file.size(), 64), dice);
  } else if (dice.chance(25)) {
    // The weights themselves: NaN and infinity come of it.
    std::string body = file.substr(8 + length);
    break_bytes(body, body.size(), dice);
    file.replace(8 + length, std::string::npos, body);
  } else {
    std::string header = file.substr(8, length);
    break_json(header, dice);
    file = framed(header, file.substr(8 + length));
  }
}

void break_files(Files& files, Dice& dice) {
  for (int i = dice.below(4); i > 0; --i) {
    auto at = files.begin();
    std::advance(at, dice.below(static_cast<int>(files.size())));
    auto& [name, content] = *at;
    if (dice.chance(2)) content.clear();
    else if (name.ends_with(".safetensors")) break_safetensors(content, dice);
    else break_json(content, dice);
  }
}

void write_folder(const fs::path& folder, const Files& files, Dice& dice) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const auto& [name, content] : files) {
    if (dice.chance(1)) continue;
    if (dice.chance(1)) {
      fs::create_directory(folder / name);
      continue;
    }
    std::ofstream(folder / name, std::ios::binary) << content;
  }
}

// ---- requests ----------------------------------------------------------------------------------------

int random_token(const Shape& s, Dice& dice) {
  if (dice.chance(99)) return dice.below(s.vocabulary);
  return dice.pick<int>({-1, s.vocabulary, s.vocabulary + 1, INT_MAX, INT_MIN});
}

std::vector<int> random_tokens(const Shape& s, int most, Dice& dice) {
  std::vector<int> out(dice.pick<int>({0, 1, 2, 15, 16, 17, dice.below(most + 1), most}));
  if (static_cast<int>(out.size()) > most) out.resize(most);
  for (int& token : out) token = dice.below(s.vocabulary);
  if (!out.empty() && dice.chance(3)) out[dice.below(static_cast<int>(out.size()))] = random_token(s, dice);
  return out;
}

std::vector<StructureRun> random_structure(const Shape& s, Dice& dice) {
  std::vector<StructureRun> out;
  for (int i = dice.below(7); i > 0; --i) {
    StructureRun run;
    run.parallel = dice.chance(40);
    for (int b = run.parallel ? dice.below(6) : 1; b > 0; --b) {
      run.tokens.push_back(random_tokens(s, dice.chance(90) ? 12 : s.context, dice));
    }
    out.push_back(std::move(run));
  }
  return out;
}

float random_float(float usual, Dice& dice) {
  if (dice.chance(95)) return usual;
  return dice.pick<float>({0, 1, -1, 1e30f, -1e30f, 1e-30f, NAN, INFINITY, -INFINITY});
}

SamplingParams random_sampling(const Shape& s, Dice& dice) {
  SamplingParams out;
  out.temperature = random_float(dice.chance(30) ? 0 : static_cast<float>(dice.between(1, 30)) / 10, dice);
  out.top_p = random_float(dice.chance(70) ? 1 : 0.9f, dice);
  out.min_p = random_float(dice.chance(70) ? 0 : 0.05f, dice);
  out.top_k = dice.pick<int>({0, 0, 1, 5, s.vocabulary, INT_MAX, -1});
  out.presence_penalty = random_float(dice.chance(80) ? 0 : 1, dice);
  out.frequency_penalty = random_float(dice.chance(80) ? 0 : 1, dice);
  out.repetition_penalty = random_float(dice.chance(80) ? 1 : 1.2f, dice);
  if (dice.chance(60)) {
    // Plans open, titles close and branches end.
    out.logit_bias = {{kTitleOpen, static_cast<float>(dice.between(0, 9))},
                      {kTitleClose, static_cast<float>(dice.between(0, 9))},
                      {kBranchClose, static_cast<float>(dice.between(-3, 6))}};
    for (int id = kBranchClose + 1; dice.chance(80) && id <= kLastMarker; ++id) {
      out.logit_bias.emplace_back(id, static_cast<float>(dice.between(-3, 9)));
    }
    for (int id : {kTitleClose + 1, kTitleClose + 2}) {
      if (dice.chance(50)) out.logit_bias.emplace_back(id, static_cast<float>(dice.between(-3, 9)));
    }
  }
  if (dice.chance(10)) out.logit_bias.emplace_back(random_token(s, dice), random_float(5, dice));
  out.logprobs = dice.chance(20);
  out.top_logprobs = dice.pick<int>({0, 3, s.vocabulary, INT_MAX, -1});
  return out;
}

RequestSpec random_request(std::uint32_t id, const Shape& s, Dice& dice) {
  RequestSpec spec;
  spec.id = id;
  if (dice.chance(80)) {
    const int most = dice.chance(90) ? std::min(s.context - 1, 40) : s.context + 1;
    spec.prompt = {{false, {random_tokens(s, most, dice)}}};
  } else {
    spec.prompt = random_structure(s, dice);
    if (dice.chance(80)) {
      spec.prompt.insert(spec.prompt.begin(), {false, {{dice.below(s.vocabulary)}}});
      spec.prompt.push_back({false, {{dice.below(s.vocabulary)}}});
    }
  }
  if (dice.chance(50) && !spec.prompt.empty() && !spec.prompt.back().tokens.empty()) {
    const int last = static_cast<int>(spec.prompt.back().tokens[0].size());
    spec.plan = {dice.chance(90) ? dice.below(last + 1) : dice.pick<int>({-1, INT_MAX, INT_MIN}),
                 random_tokens(s, 20, dice)};
  }
  spec.sampling = random_sampling(s, dice);
  spec.parallel = dice.chance(80);
  spec.max_branches = dice.pick<int>({0, 0, 1, 2, 3, INT_MAX, -1});
  spec.max_tokens = dice.pick<int>({1, 2, dice.between(1, 30), dice.between(1, s.context), s.context,
                                    s.context, INT_MAX, 0, -1, INT_MIN});
  spec.seed = dice.word();
  spec.choice_index = static_cast<std::uint32_t>(dice.word());
  spec.priority = dice.pick<int>({0, 0, 0, 1, -1, 1000, INT_MAX, INT_MIN});
  if (dice.chance(70)) spec.cache_salt.assign(1, static_cast<std::uint8_t>(dice.below(2)));
  if (dice.chance(20)) spec.resume = dice.chance(50) ? ResumeRule::kSum : ResumeRule::kMax;
  if (dice.chance(10)) spec.stop_tokens = {random_token(s, dice), random_token(s, dice)};
  spec.ignore_eos = dice.chance(50);
  if (dice.chance(3)) spec.deadline = std::chrono::milliseconds(dice.between(0, 2));
  spec.sequential = dice.chance(5);
  spec.return_logits = dice.chance(3);
  if (dice.chance(20)) {
    spec.script = random_structure(s, dice);
    if (!spec.script.empty() && !spec.script[0].parallel && dice.chance(90)) {
      spec.prompt = {spec.script[0]};
      auto& prompt = spec.prompt[0].tokens[0];
      if (!prompt.empty() && dice.chance(50)) prompt.pop_back();
    }
  }
  return spec;
}

// ---- one engine under random requests ----------------------------------------------------------------

/// Submits, cancels and scores, all but the first request on the engine thread between two steps, so
/// that a seed gives one run. Holds what the engine tells against what it was asked.
class Play {
 public:
  Play(const EngineOptions& options, const Shape& shape, int requests, Dice& dice)
      : shape_(shape),
        dice_(dice),
        whole_steps_(options.backend.max_rows >= 64),
        left_(requests) {
    engine_ = std::make_unique<Engine>(
        options, [this](std::vector<std::uint32_t> words) { on_events(words); },
        [this](std::string message) { fail("fault: " + message, true); });
  }

  /// What went wrong; empty where nothing did.
  std::string run() {
    {
      std::unique_lock lock(mutex_);
      while (left_ > 0 && live_.empty()) submit();
      const auto limit = std::chrono::minutes(2);
      if (!ended_.wait_for(lock, limit, [&] { return over_ || (live_.empty() && left_ == 0); })) {
        std::printf("\nFAIL a request never ended\n");
        std::_Exit(1);
      }
    }
    engine_->close();
    const LoadSnapshot load = engine_->load();
    if (load.kv_free != load.kv_total) fail("blocks are missing at the end", false);
    if (load.running + load.queued != 0) fail("requests are left at the end", false);
    for (auto& score : scores_) {
      try {
        score.get();
      } catch (const std::future_error&) {  // closed before its turn
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kInternal) fail(error.what(), false);
      }
    }
    return wrong_;
  }

 private:
  /// What was told of one request so far, the log that it was given included.
  struct Told {
    RequestSpec spec;
    std::uint32_t first = 0;  // the request that it goes on with; 0: none, kNobody: a broken log
    bool started = false;
    int tokens = 0, open = 0, visible = 0;
    std::map<std::uint32_t, int> held;  // by lane
    std::map<int, LoggedLane> lanes;
  };
  using Lanes = std::map<int, std::vector<int>>;
  static constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

  void fail(const std::string& what, bool over) {
    if (wrong_.empty()) wrong_ = what;
    if (!over) return;
    std::lock_guard lock(mutex_);
    over_ = true;
    ended_.notify_all();
  }

  void submit() {
    --left_;
    Told told;
    if (!live_.empty() && dice_.chance(30) && live_.begin()->second.spec.script.empty()) {
      // As another engine would take it up, which sees no further than this step.
      const auto at = live_.begin();
      told = at->second;
      told.first = told.first ? told.first : at->first;
      told.started = false;
      told.spec.log.clear();
      for (const auto& [lane, log] : told.lanes) told.spec.log.push_back(log);
    } else {
      told.spec = random_request(next_, shape_, dice_);
    }
    told.spec.id = next_++;
    // Where one batch does not hold a fork's openings, its lanes end no step together.
    const bool sound =
        told.first && told.first != kNobody && whole_steps_ && !dice_.chance(30);
    if (told.first && !sound) break_log(told);
    try {
      engine_->submit(told.spec);
      live_[told.spec.id] = std::move(told);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInternal) fail(error.what(), false);
      if (sound && error.code() != ErrorCode::kResourceExhausted) {
        fail(std::string("a log was refused: ") + error.what(), false);
      }
    } catch (const std::exception& error) {
      fail(std::string("submit: ") + error.what(), false);
    }
  }

  /// What it says then is nobody's answer.
  void break_log(Told& told) {
    auto& log = told.spec.log;
    if (log.empty()) log.emplace_back();
    LoggedLane& lane = log[dice_.below(static_cast<int>(log.size()))];
    switch (dice_.below(6)) {
      case 0: lane.lane = dice_.pick<int>({-1, 0, 1, 2, INT_MAX, INT_MIN}); break;
      case 1: lane.closed = dice_.pick<CloseReason>({CloseReason::kMarker, CloseReason::kCap}); break;
      case 2: lane.tokens.push_back(random_token(shape_, dice_)); break;
      case 3: lane.tokens.resize(lane.tokens.size() / 2); break;
      case 4: lane.tokens = random_tokens(shape_, 20, dice_); break;
      case 5: log.push_back(lane); break;
    }
    told.first = kNobody;
  }

  void act() {
    while (left_ > 0 && (live_.empty() || dice_.chance(40))) submit();
    if (dice_.chance(10)) engine_->cancel(static_cast<std::uint32_t>(dice_.below(next_ + 1)));
    if (!dice_.chance(5)) return;
    try {
      scores_.push_back(engine_->score(random_structure(shape_, dice_), ResumeRule::kSum,
                                       dice_.chance(50)));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInternal) fail(error.what(), false);
    }
  }

  void on_events(const std::vector<std::uint32_t>& words) {
    std::lock_guard lock(mutex_);
    size_t at = 0;
    while (at + 3 <= words.size()) {
      const size_t length = words[at + 2];
      if (at + 3 + length > words.size()) return fail("an event is cut off", false);
      const auto found = live_.find(words[at + 1]);
      if (found == live_.end()) return fail("an event of no live request", false);
      hear(static_cast<EventKind>(words[at]), &words[at + 3], found->second);
      if (words[at] == static_cast<std::uint32_t>(EventKind::kFinished)) {
        compare(found->second, static_cast<FinishReason>(words[at + 3]));
        live_.erase(found);
      }
      at += 3 + length;
    }
    act();
    if (live_.empty() && left_ == 0) ended_.notify_all();
  }

  void hear(EventKind kind, const std::uint32_t* words, Told& told) {
    const auto lane = [&](std::uint32_t id) -> LoggedLane& {
      LoggedLane& out = told.lanes[static_cast<int>(id)];
      out.lane = static_cast<int>(id);
      return out;
    };
    const bool known = told.first != kNobody;  // what stands before a broken log is not
    switch (kind) {
      case EventKind::kStarted:
        if (told.started) fail("started twice", false);
        told.started = true;
        told.tokens = told.open = told.visible = 0;
        told.held.clear();
        told.lanes.clear();  // what the log says is told once more
        break;
      case EventKind::kTokens:
        if (!told.started) fail("a token before the start", false);
        if (known && lane(words[0]).closed) fail("a token after its branch's end", false);
        lane(words[0]).tokens.push_back(static_cast<int>(words[1]));
        ++told.tokens;
        told.visible += (words[2] & EmittedToken::kVisible) != 0;
        told.held[words[0]] = words[2] & EmittedToken::kHeld ? told.held[words[0]] + 1 : 0;
        break;
      case EventKind::kStageOpened:
        told.open = static_cast<int>(words[2]);
        break;
      case EventKind::kBranchClosed:
        if (--told.open < 0 && known) fail("more branches close than opened", false);
        lane(words[0]).closed = static_cast<CloseReason>(words[1]);
        break;
      case EventKind::kStageClosed:
        if (told.open != 0 && known) fail("a stage closes with open branches", false);
        break;
      case EventKind::kFinished:
        if (known && told.started && static_cast<int>(words[2]) != told.tokens) {
          fail("the usage is not what was told", false);
        }
        for (const auto& [_, held] : told.held) told.visible += held;
        if (told.started && static_cast<int>(words[3]) != told.visible) {
          fail("more or less is visible than was told", false);
        }
        if (known && told.spec.script.empty() && told.tokens > std::max(0, told.spec.max_tokens)) {
          fail("more tokens than max_tokens", false);
        }
        break;
      case EventKind::kReleased:
        if ((told.held[words[0]] -= static_cast<int>(words[1])) < 0) {
          fail("more is released than was held", false);
        }
        told.visible += static_cast<int>(words[1]);
        break;
      case EventKind::kLogits:
        break;
    }
  }

  /// An answer that was taken up says what the first run of it says.
  void compare(const Told& told, FinishReason reason) {
    if (told.first == kNobody) return;
    if (reason != FinishReason::kStop && reason != FinishReason::kLength) return;
    Lanes lanes;
    for (const auto& [id, lane] : told.lanes) lanes[id] = lane.tokens;
    const auto [known, is_first] =
        answers_.try_emplace(told.first ? told.first : told.spec.id, lanes);
    if (!is_first && known->second != lanes) {
      fail("request " + std::to_string(told.spec.id) + " goes on differently than " +
               std::to_string(known->first),
           false);
    }
  }

  const Shape shape_;
  Dice& dice_;
  const bool whole_steps_;
  std::mutex mutex_;
  std::condition_variable ended_;
  int left_;
  std::uint32_t next_ = 1;
  std::map<std::uint32_t, Told> live_;
  std::map<std::uint32_t, Lanes> answers_;  // by first request
  std::vector<std::future<Score>> scores_;
  std::string wrong_;
  bool over_ = false;
  std::unique_ptr<Engine> engine_;
};

// ---- rounds --------------------------------------------------------------------------------------------

EngineOptions random_options(const fs::path& folder, const Shape& s, int blocks, Dice& dice) {
  EngineOptions out;
  out.model = folder;
  out.backend.weight_type = dice.chance(50) ? WeightType::kBF16 : WeightType::kF32;
  out.backend.threads = dice.chance(90) ? 1 : 2;
  const int element = out.backend.weight_type == WeightType::kBF16 ? 2 : 4;
  const std::uint64_t block = 2ull * element * kBlockTokens * s.kv_heads * s.head_dim * s.layers;
  out.backend.kv_bytes = block * static_cast<std::uint64_t>(blocks);
  out.backend.max_rows = dice.pick<int>({8, 16, 64, 256});
  out.scheduler.max_running = dice.pick<int>({1, 2, 5, 64});
  out.scheduler.max_queue = dice.pick<int>({1, 3, 256});
  out.scheduler.prefill_rows = dice.pick<int>({1, 7, 16, 128});
  out.scheduler.validate = true;
  return out;
}

struct Counts {
  int loaded = 0, refused = 0;
};

/// A broken folder is refused with a typed Error, or loads and serves.
std::string folder_round(const fs::path& folder, Dice& dice, Counts& counts) {
  const Shape shape = random_shape(dice);
  Files files = model_files(shape, dice);
  break_files(files, dice);
  write_folder(folder, files, dice);
  const EngineOptions options = random_options(folder, shape, dice.between(8, 24), dice);
  try {
    Play play(options, shape, 3, dice);
    ++counts.loaded;
    return play.run();
  } catch (const Error& error) {
    ++counts.refused;
    if (error.code() == ErrorCode::kInternal) return std::string("internal: ") + error.what();
    if (std::string(error.what()).empty()) return "an error without words";
    return "";
  }
}

/// A sound model under absurd requests.
std::string request_round(const fs::path& folder, Dice& dice) {
  const Shape shape = random_shape(dice);
  write_folder(folder, model_files(shape, dice), dice);
  const int blocks = dice.chance(50) ? dice.between(8, 16) : dice.between(16, 80);
  try {
    return Play(random_options(folder, shape, blocks, dice), shape, 60, dice).run();
  } catch (const Error& error) {
    return error.code() == ErrorCode::kInternal ? error.what() : "";  // a file was left out
  }
}

/// The number after a flag. Exits where it is none.
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
    if (flag == "--seed") seed = number_after(i, count, arguments);
    else if (flag == "--rounds") rounds = number_after(i, count, arguments);
    else if (flag == "--seconds") seconds = number_after(i, count, arguments);
    else {
      std::fprintf(stderr, "engine-fuzz [--seed N] [--rounds N] [--seconds N]\n");
      return flag == "--help" ? 0 : 2;
    }
  }
  if (rounds == UINT64_MAX && seconds == 0) rounds = 400;
  const fs::path folder =
      fs::temp_directory_path() / ("anabranch-fuzz-" + std::to_string(::getpid()));
  const auto began = std::chrono::steady_clock::now();
  Counts counts;
  std::uint64_t round = 0;
  int failed = 0;
  for (; round < rounds; ++round) {
    if (seconds > 0 && std::chrono::steady_clock::now() - began >= std::chrono::seconds(seconds)) {
      break;
    }
    // Where the round ends the process, this line tells which it was.
    std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(seed + round));
    Dice dice(seed + round);
    std::string wrong;
    try {
      wrong = dice.chance(70) ? folder_round(folder, dice, counts) : request_round(folder, dice);
    } catch (const std::exception& error) {
      wrong = std::string("not a typed error: ") + error.what();
    }
    if (wrong.empty()) continue;
    ++failed;
    std::printf("FAIL seed %llu: %s\n", static_cast<unsigned long long>(seed + round), wrong.c_str());
  }
  fs::remove_all(folder);
  std::printf("%llu rounds, %d folders loaded, %d refused, %d failed\n",
              static_cast<unsigned long long>(round), counts.loaded, counts.refused, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace anabranch

int main(int count, char** arguments) { return anabranch::fuzz(count, arguments); }
