#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace anabranch {

Rope default_rope(double theta, int rotary_dim, int head_dim) {
  Rope rope = no_rope(head_dim);
  for (int i = 0; i < rotary_dim / 2; ++i) {
    rope.inverse_frequency[i] = static_cast<float>(1.0 / std::pow(theta, 2.0 * i / rotary_dim));
  }
  return rope;
}

Rope no_rope(int head_dim) { return {std::vector<float>(static_cast<size_t>(head_dim) / 2)}; }

void scale_linear(Rope& rope, double factor) {
  for (float& f : rope.inverse_frequency) f = static_cast<float>(f / factor);
}

void scale_llama3(Rope& rope, const Llama3Scaling& s) {
  for (float& f : rope.inverse_frequency) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < s.original_context / s.high_freq_factor) continue;
    if (wavelength > s.original_context / s.low_freq_factor) {
      f = static_cast<float>(f / s.factor);
    } else {
      const double smooth = (s.original_context / wavelength - s.low_freq_factor) /
                            (s.high_freq_factor - s.low_freq_factor);
      f = static_cast<float>((1 - smooth) * f / s.factor + smooth * f);
    }
  }
}

void scale_yarn(Rope& rope, int rotary_dim, const YarnScaling& s) {
  // Dimension at which a wave turns `rotations` times over the original context.
  const auto dimension = [&](double rotations) {
    return rotary_dim * std::log(s.original_context / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(s.theta));
  };
  double low = dimension(s.beta_fast);
  double high = dimension(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rotary_dim - 1.0);
  if (low == high) high += 0.001;
  for (int i = 0; i < rotary_dim / 2; ++i) {
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    const double f = rope.inverse_frequency[i];
    rope.inverse_frequency[i] = static_cast<float>(f / s.factor * ramp + f * (1 - ramp));
  }
}

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void divide_frequencies(Rope& rope, const std::vector<float>& factors) {
  for (size_t i = 0; i < factors.size(); ++i) rope.inverse_frequency[i] /= factors[i];
}

double longrope_magnitude(double factor, double original_context) {
  return factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original_context));
}

}  // namespace anabranch
