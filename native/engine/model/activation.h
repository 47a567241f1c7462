// The activation of a gated MLP: activation(gate) · up.
#pragma once

namespace anabranch {

/// Both are x · sigmoid(z): with z = x for SiLU, and z = 2 · sqrt(2 / pi) · (x + 0.044715 · x³) for
/// GELU's tanh approximation (arXiv:1606.08415).
enum class Activation { kSilu, kGeluTanh };

}  // namespace anabranch
