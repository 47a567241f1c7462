#include "kv/prefix_key.h"

#include <array>
#include <bit>
#include <random>

namespace anabranch {
namespace {

/// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012), over 64-bit words.
class SipHash {
 public:
  explicit SipHash(const std::array<std::uint64_t, 2>& secret)
      : v0_(0x736f6d6570736575ull ^ secret[0]),
        v1_(0x646f72616e646f6dull ^ secret[1] ^ 0xee),
        v2_(0x6c7967656e657261ull ^ secret[0]),
        v3_(0x7465646279746573ull ^ secret[1]) {}

  void add(std::uint64_t word) {
    v3_ ^= word;
    rounds(2);
    v0_ ^= word;
  }

  PrefixKey finish() {
    PrefixKey out;
    v2_ ^= 0xee;
    rounds(4);
    out.low = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    rounds(4);
    out.high = v0_ ^ v1_ ^ v2_ ^ v3_;
    return out;
  }

 private:
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0_ += v1_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v3_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ += v3_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ += v1_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v2_ = std::rotl(v2_, 32);
    }
  }

  std::uint64_t v0_, v1_, v2_, v3_;
};

const std::array<std::uint64_t, 2>& process_secret() {
  static const std::array<std::uint64_t, 2> secret = [] {
    std::random_device random;
    const auto word = [&] { return static_cast<std::uint64_t>(random()) << 32 | random(); };
    return std::array<std::uint64_t, 2>{word(), word()};
  }();
  return secret;
}

}  // namespace

PrefixKey extend(const PrefixKey& parent, std::span<const std::uint32_t> words) {
  SipHash hash(process_secret());
  hash.add(parent.low);
  hash.add(parent.high);
  for (std::uint32_t word : words) hash.add(word);
  hash.add(words.size());
  return hash.finish();
}

}  // namespace anabranch
