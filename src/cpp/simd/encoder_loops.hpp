#pragma once

// The encoder's loops, which every unit compiles for its own instruction set; for units alone. All
// of it has internal linkage, so that no unit's copy can stand in for another's. The vectors are
// the compiler's own (GCC and Clang), as wide as DS2FAST_LANES says.

#include <cstddef>
#include <cstdint>

#include "simd/encoder_kernels.hpp"

#ifndef DS2FAST_LANES
#error "a unit defines DS2FAST_LANES, the floats of a vector, before it includes this"
#endif

namespace ds2fast::simd {
namespace {

constexpr std::size_t kLanes = DS2FAST_LANES;
typedef float Floats __attribute__((vector_size(DS2FAST_LANES * 4)));
typedef std::int32_t Ints __attribute__((vector_size(DS2FAST_LANES * 4)));

inline Floats load(const float* from) {
  Floats values;
  __builtin_memcpy(&values, from, sizeof values);
  return values;
}

inline Ints load(const std::int32_t* from) {
  Ints values;
  __builtin_memcpy(&values, from, sizeof values);
  return values;
}

inline void store(float* to, Floats values) {
  __builtin_memcpy(to, &values, sizeof values);
}

inline Floats all(float value) {
  return value - Floats{};
}

inline Ints all(std::int32_t value) {
  return value - Ints{};
}

inline Floats larger(Floats a, Floats b) {
  return a > b ? a : b;
}

inline Floats smaller(Floats a, Floats b) {
  return a < b ? a : b;
}

inline Ints bits_of(Floats values) {
  Ints bits;
  __builtin_memcpy(&bits, &values, sizeof bits);
  return bits;
}

inline Floats floats_of(Ints bits) {
  Floats values;
  __builtin_memcpy(&values, &bits, sizeof values);
  return values;
}

typedef float Quarter __attribute__((vector_size(16)));

inline float sum_of(Floats values) {
  Quarter parts[kLanes / 4];
  __builtin_memcpy(parts, &values, sizeof parts);
  for (std::size_t i = 1; i < kLanes / 4; ++i) {
    parts[0] += parts[i];
  }
  return (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
}

inline float larger(float a, float b) {
  return a > b ? a : b;
}

inline float largest_of(Floats values) {
  Quarter parts[kLanes / 4];
  __builtin_memcpy(parts, &values, sizeof parts);
  for (std::size_t i = 1; i < kLanes / 4; ++i) {
    parts[0] = parts[0] > parts[i] ? parts[0] : parts[i];
  }
  return larger(larger(parts[0][0], parts[0][2]), larger(parts[0][1], parts[0][3]));
}

// Adding it and taking it off again rounds a float below 2^22 to the nearest integer, which then
// stands in the lowest bits of the sum.
constexpr float kRounder = 0x1.8p23F;
constexpr float kInfinity = __builtin_inff();

/// e^x for x <= 0 with a relative error below 3e-7; what would be below e^-87 is e^-87.
inline Floats exp_of(Floats x) {
  x = larger(all(-87.0F), x);  // in this order NaN stays NaN
  const Floats shifted = x * 0x1.715476p0F + kRounder;
  const Floats power = shifted - kRounder;
  // ln 2 in two parts: the first has few enough bits for the product to be exact.
  Floats rest = x - power * 0x1.62e4p-1F;
  rest = rest - power * 0x1.7f7d1cp-20F;
  Floats sum = rest * (1.0F / 720) + 1.0F / 120;
  sum = sum * rest + 1.0F / 24;
  sum = sum * rest + 1.0F / 6;
  sum = sum * rest + 0.5F;
  sum = sum * rest + 1.0F;
  sum = sum * rest + 1.0F;
  return sum * floats_of((bits_of(shifted) + 127) << 23);
}

/// x * Phi(x), with 1 - erf by Abramowitz and Stegun, 7.1.26: error below 3e-7 |x|.
inline Floats gelu(Floats x) {
  const Floats z = larger(x, -x) * 0x1.6a09e6p-1F;
  const Floats t = 1.0F / (z * 0.3275911F + 1.0F);
  Floats sum = t * 1.061405429F - 1.453152027F;
  sum = sum * t + 1.421413741F;
  sum = sum * t - 0.284496736F;
  sum = sum * t + 0.254829592F;
  const Floats tail = sum * t * exp_of(-z * z) * (x * 0.5F);
  return x < 0.0F ? tail : x - tail;
}

/// x * (1 + tanh(u)) / 2 = x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3): error below
/// 2e-7 |x|.
inline Floats gelu_tanh(Floats x) {
  const Floats twice = (x * x * 0.044715F + 1.0F) * x * 1.5957691216F;
  const Floats small = exp_of(-larger(twice, -twice));
  return x * (twice < 0.0F ? small : all(1.0F)) / (small + 1.0F);
}

template <Finish kFinish>
inline Floats finished(Floats value, const float* output) {
  switch (kFinish) {
    case Finish::kAdd:
      return value + load(output);
    case Finish::kGelu:
      return gelu(value);
    case Finish::kGeluTanh:
      return gelu_tanh(value);
    case Finish::kRelu:
      return value < 0.0F ? Floats{} : value;  // NaN stays NaN
    case Finish::kStore:
      break;
  }
  return value;
}

/// Where a block of products ends up: its rows and columns that exist.
struct Block {
  std::size_t rows;
  std::size_t columns;
  std::size_t stride;
  Finish finish;
  float* output;
};

/// Stores finished(value(row, column)) in the block.
template <Finish kFinish, typename Value>
inline void store_finished(const Block& block, const Value& value) {
  for (std::size_t r = 0; r < block.rows; ++r) {
    float* output = block.output + r * block.stride;
    for (std::size_t c = 0; c < block.columns; c += kLanes) {
      store(output + c, finished<kFinish>(value(r, c), output + c));
    }
  }
}

template <typename Value>
inline void store_block(const Block& block, const Value& value) {
  switch (block.finish) {
    case Finish::kStore:
      return store_finished<Finish::kStore>(block, value);
    case Finish::kAdd:
      return store_finished<Finish::kAdd>(block, value);
    case Finish::kGelu:
      return store_finished<Finish::kGelu>(block, value);
    case Finish::kGeluTanh:
      return store_finished<Finish::kGeluTanh>(block, value);
    case Finish::kRelu:
      return store_finished<Finish::kRelu>(block, value);
  }
}

/// Adds the biases to a block of products, (8, 48) float32, and finishes them.
inline void finish_floats(const float* products, const float* biases, const Block& block) {
  store_block(block, [=](std::size_t r, std::size_t c) {
    return load(products + r * kPanelColumns + c) + load(biases + c);
  });
}

/// Likewise for products of codes, int32: (sum - zero * code sum) * row scale * column scale.
inline void finish_codes(const std::int32_t* products, const float* row_scales,
                         const std::int32_t* zeros, const PanelView& panel, const Block& block) {
  store_block(block, [=](std::size_t r, std::size_t c) {
    const Ints sum = load(products + r * kPanelColumns + c) - load(panel.code_sums + c) * zeros[r];
    const Floats scale = load(panel.scales + c) * row_scales[r];
    return __builtin_convertvector(sum, Floats) * scale + load(panel.biases + c);
  });
}

/// Calls visit(panel, first row, block) for all blocks of a product, panel by panel: a panel stays
/// in the nearest cache while the rows pass by.
template <typename Visit>
inline void for_each_block(ProductSize size, Finish finish, float* output, const Visit& visit) {
  for (std::size_t column = 0; column < size.columns; column += kPanelColumns) {
    const std::size_t columns =
        size.columns - column < kPanelColumns ? size.columns - column : kPanelColumns;
    for (std::size_t row = 0; row < size.rows; row += kBlockRows) {
      const std::size_t rows = size.rows - row < kBlockRows ? size.rows - row : kBlockRows;
      visit(column / kPanelColumns, row,
            Block{rows, columns, size.stride, finish, output + row * size.stride + column});
    }
  }
}

inline PanelView panel_at(const PanelView& weights, std::size_t panel) {
  const std::size_t column = panel * kPanelColumns;
  return {nullptr, weights.biases + column, weights.scales + column, weights.code_sums + column};
}

/// Codes of rows in 0..255 around a zero of their own; `shift` is taken off zero and codes where a
/// unit multiplies signed bytes. store_bytes(to, codes) stores the lowest byte of each lane.
template <typename StoreBytes>
inline void prepare_codes(const float* rows, std::size_t num_rows, std::size_t depth,
                          const PreparedRows& prepared, std::int32_t shift,
                          const StoreBytes& store_bytes) {
  auto* codes = static_cast<std::uint8_t*>(prepared.values);
  for (std::size_t r = 0; r < num_rows; ++r) {
    const float* row = rows + r * depth;
    Floats low = {};
    Floats high = {};   // the range holds 0, so that zeros stay zeros
    Floats taint = {};  // 0, but NaN where a value is NaN or infinite, which comparisons may lose
    for (std::size_t k = 0; k < depth; k += kLanes) {
      const Floats values = load(row + k);
      low = smaller(low, values);
      high = larger(high, values);
      taint += values * 0.0F;
    }
    const float least = -largest_of(-low);
    const float range = largest_of(high) - least + sum_of(taint);
    const float scale = range < kLeastRange ? 1.0F : range / 255.0F;
    const float inverse = 1.0F / scale;
    const Floats zero = all(-least * inverse) + kRounder - kRounder;
    for (std::size_t k = 0; k < depth; k += kLanes) {
      // In 0..255 but for rounding: the sum of two roundings may miss by one.
      Floats code = load(row + k) * inverse + zero;
      code = smaller(larger(code, Floats{}), all(255.0F)) + kRounder;
      store_bytes(codes + r * depth + k, bits_of(code) - shift);
    }
    prepared.scales[r] = scale;
    // NaN has no zero; the scale carries it on.
    prepared.zeros[r] = (scale < kInfinity ? static_cast<std::int32_t>(zero[0]) : 0) - shift;
  }
}

/// products(rows, depth, panel, sums): (8, 48) int32 sums of the codes of 8 rows and a panel.
template <typename Products>
inline void multiply_codes(const PreparedRows& rows, const PanelView& weights, ProductSize size,
                           Finish finish, float* output, const Products& products) {
  const auto* codes = static_cast<const std::uint8_t*>(rows.values);
  const auto* panels = static_cast<const std::int8_t*>(weights.values);
  alignas(64) std::int32_t sums[kBlockRows * kPanelColumns];
  for_each_block(size, finish, output, [&](std::size_t panel, std::size_t row, const Block& block) {
    products(codes + row * size.depth, size.depth, panels + panel * kPanelColumns * size.depth,
             sums);
    finish_codes(sums, rows.scales + row, rows.zeros + row, panel_at(weights, panel), block);
  });
}

inline void layer_norm(float* rows, std::size_t num_rows, std::size_t width, std::size_t stride,
                       const float* scale, const float* shift, float epsilon) {
  const auto count = static_cast<float>(width);
  const std::size_t whole = width / kLanes * kLanes;
  for (std::size_t r = 0; r < num_rows; ++r) {
    float* row = rows + r * stride;
    Floats total = {};
    float rest = 0.0F;
    for (std::size_t k = 0; k < whole; k += kLanes) {
      total += load(row + k);
    }
    for (std::size_t k = whole; k < width; ++k) {
      rest += row[k];
    }
    const float mean = (sum_of(total) + rest) / count;
    total = Floats{};
    rest = 0.0F;
    for (std::size_t k = 0; k < whole; k += kLanes) {
      const Floats off = load(row + k) - mean;
      total += off * off;
    }
    for (std::size_t k = whole; k < width; ++k) {
      rest += (row[k] - mean) * (row[k] - mean);
    }
    const float inverse = 1.0F / __builtin_sqrtf((sum_of(total) + rest) / count + epsilon);
    for (std::size_t k = 0; k < whole; k += kLanes) {
      store(row + k, (load(row + k) - mean) * inverse * load(scale + k) + load(shift + k));
    }
    for (std::size_t k = whole; k < width; ++k) {
      row[k] = (row[k] - mean) * inverse * scale[k] + shift[k];
    }
  }
}

}  // namespace
}  // namespace ds2fast::simd
