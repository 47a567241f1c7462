// Rotary position embedding.
#pragma once

#include <vector>

namespace anabranch {

/// Every kind of RoPE reduces to one frequency per pair of values and one factor on cosines and
/// sines. Value i of a head is paired with value head_dim / 2 + i. Pairs of frequency 0 are left as
/// they are: those beyond a partial rotary width, and all of a layer without RoPE.
/// Source: arXiv:2104.09864.
struct Rope {
  std::vector<float> inverse_frequency;  // [head_dim / 2], radians per position
  float attention_factor = 1;

  /// The factor on the cosine and sine of a pair.
  float magnitude(int pair) const { return inverse_frequency[pair] == 0 ? 1 : attention_factor; }
  bool operator==(const Rope&) const = default;
};

/// theta^(-2i / rotary_dim) for the pairs that are rotated, then zeros.
Rope default_rope(double theta, int rotary_dim, int head_dim);

/// No RoPE: all frequencies are 0.
Rope no_rope(int head_dim);

/// Divides all frequencies.
void scale_linear(Rope& rope, double factor);

/// Source: Llama 3.1's model card.
struct Llama3Scaling {
  double factor, low_freq_factor, high_freq_factor, original_context;
};
void scale_llama3(Rope& rope, const Llama3Scaling& scaling);

/// Source: arXiv:2309.00071.
struct YarnScaling {
  double theta, factor, original_context;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;
};
void scale_yarn(Rope& rope, int rotary_dim, const YarnScaling& scaling);
/// The default attention factor, for mscale 1.
double yarn_magnitude(double factor, double mscale);

/// Divides the frequency of each rotated pair by its own factor.
void divide_frequencies(Rope& rope, const std::vector<float>& factors);

/// The default attention factor of long RoPE (arXiv:2402.13753) for a context of `factor` times the
/// original one.
double longrope_magnitude(double factor, double original_context);

}  // namespace anabranch
