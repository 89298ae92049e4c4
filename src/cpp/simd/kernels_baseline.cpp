// Kernels for the target's baseline: SSE2 on x86-64, NEON on arm64, plain C++ elsewhere. No library
// code beyond intrinsics, as in every unit.

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "simd/bound_loops.hpp"
#include "simd/code_loops.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

using Float4 = float __attribute__((vector_size(16)));
using Int4 = std::int32_t __attribute__((vector_size(16)));

constexpr std::size_t kRows = 4;
constexpr std::size_t kColumns = 8;
// Values of the panels that a pass over the tile keeps in the first-level cache: 2 * 48 * 128
// floats.
constexpr std::size_t kDepthBlock = 128;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;

template <typename Vector, typename T>
Vector load(const T* from) {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

void store(float* to, Float4 value) {
  __builtin_memcpy(to, &value, sizeof value);
}

void add_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  Float4 sum[kRows][2];
  for (std::size_t r = 0; r < kRows; ++r) {
    sum[r][0] = load<Float4>(products + r * kPanelRows);
    sum[r][1] = load<Float4>(products + r * kPanelRows + 4);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    const Float4 low = load<Float4>(columns + k * kPanelRows);
    const Float4 high = load<Float4>(columns + k * kPanelRows + 4);
    for (std::size_t r = 0; r < kRows; ++r) {
      const float value = rows[k * kPanelRows + r];
      sum[r][0] += value * low;
      sum[r][1] += value * high;
    }
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    store(products + r * kPanelRows, sum[r][0]);
    store(products + r * kPanelRows + 4, sum[r][1]);
  }
}

void tile_products(const float* rows, const float* columns, std::size_t depth, float* products) {
  for (std::size_t i = 0; i < kTileSize; ++i) {
    products[i] = 0.0F;
  }
  for (std::size_t k = 0; k < depth; k += kDepthBlock) {
    const std::size_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    const float* block_rows = rows + k * kPanelRows;
    const float* block_columns = columns + k * kPanelRows;
    for (std::size_t r = 0; r < kPanelRows; r += kRows) {
      for (std::size_t c = 0; c < kPanelRows; c += kColumns) {
        add_products(block_rows + r, block_columns + c, block, products + r * kPanelRows + c);
      }
    }
  }
}

#if defined(__SSE2__)

constexpr std::size_t kCodeRows = 3;
constexpr std::size_t kCodeColumns = 8;

/// Codes as int16, in the same order: SSE2 multiplies no bytes.
void widen_codes(const std::int8_t* codes, std::size_t count, std::int16_t* wide) {
  for (std::size_t i = 0; i < count; i += 16) {
    const __m128i bytes = load<__m128i>(codes + i);
    // A byte above a copy of itself, shifted down: its value with its sign.
    const __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
    const __m128i high = _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8);
    _mm_store_si128(reinterpret_cast<__m128i*>(wide + i), low);
    _mm_store_si128(reinterpret_cast<__m128i*>(wide + i + 8), high);
  }
}

/// Adds to 3 x 8 products. A register holds two columns, each as the sums of its even and its odd
/// pairs.
void add_code_products(const std::int16_t* rows, const std::int16_t* columns,
                       std::size_t num_groups, std::int32_t* products) {
  __m128i sum[kCodeRows][kCodeColumns / 2] = {};
  for (std::size_t group = 0; group < num_groups; ++group) {
    const std::int16_t* column = columns + group * kGroupSize;
#pragma GCC unroll 3
    for (std::size_t r = 0; r < kCodeRows; ++r) {
      const __m128i half =
          _mm_loadl_epi64(reinterpret_cast<const __m128i*>(rows + group * kGroupSize + r * kGroup));
      const __m128i value = _mm_unpacklo_epi64(half, half);
#pragma GCC unroll 4
      for (std::size_t pair = 0; pair < kCodeColumns / 2; ++pair) {
        const __m128i two = _mm_load_si128(reinterpret_cast<const __m128i*>(column + 8 * pair));
        sum[r][pair] = _mm_add_epi32(sum[r][pair], _mm_madd_epi16(two, value));
      }
    }
  }
  for (std::size_t r = 0; r < kCodeRows; ++r) {
    for (std::size_t c = 0; c < kCodeColumns; ++c) {
      const Int4 pair = load<Int4>(&sum[r][c / 2]);
      products[r * kPanelRows + c] += pair[c % 2 * 2] + pair[c % 2 * 2 + 1];
    }
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* /*code_sums*/,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  alignas(16) std::int16_t wide_rows[kPanelRows * kDepthBlock];
  alignas(16) std::int16_t wide_columns[kPanelRows * kDepthBlock];
  for (std::size_t i = 0; i < kTileSize; ++i) {
    products[i] = 0;
  }
  for (std::size_t k = 0; k < depth; k += kDepthBlock) {
    const std::size_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
    widen_codes(rows + k * kPanelRows, block * kPanelRows, wide_rows);
    widen_codes(columns + k * kPanelRows, block * kPanelRows, wide_columns);
    for (std::size_t c = 0; c < kPanelRows; c += kCodeColumns) {
      for (std::size_t r = 0; r < kPanelRows; r += kCodeRows) {
        add_code_products(wide_rows + r * kGroup, wide_columns + c * kGroup, block / kGroup,
                          products + r * kPanelRows + c);
      }
    }
  }
}

#elif defined(__aarch64__)

constexpr std::size_t kCodeRows = 4;
constexpr std::size_t kCodeColumns = 8;

int8x8_t broadcast_group(const std::int8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return vreinterpret_s8_s32(vdup_n_s32(group));
}

/// 4 x 8 products. A register holds two columns, each as two sums. Two products of codes fit int16:
/// 2 * 127^2 < 2^15.
void code_products_of(const std::int8_t* rows, const std::int8_t* columns, std::size_t num_groups,
                      std::int32_t* products) {
  int32x4_t sum[kCodeRows][kCodeColumns / 2] = {};
  for (std::size_t group = 0; group < num_groups; group += 2) {
    const bool has_second = group + 1 < num_groups;
    const std::int8_t* row = rows + group * kGroupSize;
    const std::int8_t* column = columns + group * kGroupSize;
    for (std::size_t r = 0; r < kCodeRows; ++r) {
      const int8x8_t first = broadcast_group(row + r * kGroup);
      const int8x8_t second =
          has_second ? broadcast_group(row + kGroupSize + r * kGroup) : vdup_n_s8(0);
      for (std::size_t pair = 0; pair < kCodeColumns / 2; ++pair) {
        const std::int8_t* two = column + 2 * kGroup * pair;
        int16x8_t product = vmull_s8(vld1_s8(two), first);
        product = vmlal_s8(product, vld1_s8(has_second ? two + kGroupSize : two), second);
        sum[r][pair] = vpadalq_s16(sum[r][pair], product);
      }
    }
  }
  for (std::size_t r = 0; r < kCodeRows; ++r) {
    for (std::size_t four = 0; four < kCodeColumns / 4; ++four) {
      vst1q_s32(products + r * kPanelRows + 4 * four,
                vpaddq_s32(sum[r][2 * four], sum[r][2 * four + 1]));
    }
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* /*code_sums*/,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t c = 0; c < kPanelRows; c += kCodeColumns) {
    for (std::size_t r = 0; r < kPanelRows; r += kCodeRows) {
      code_products_of(rows + r * kGroup, columns + c * kGroup, depth / kGroup,
                       products + r * kPanelRows + c);
    }
  }
}

#else

void code_products(const std::int8_t* rows, const std::int32_t* /*code_sums*/,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t i = 0; i < kTileSize; ++i) {
    const std::int8_t* row = rows + i / kPanelRows * kGroup;
    const std::int8_t* column = columns + i % kPanelRows * kGroup;
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < depth; ++k) {
      const std::size_t at = k / kGroup * kGroupSize + k % kGroup;
      sum += std::int32_t{row[at]} * std::int32_t{column[at]};
    }
    products[i] = sum;
  }
}

#endif

bool any(Int4 mask) {
  std::uint64_t halves[2];
  __builtin_memcpy(halves, &mask, sizeof halves);
  return (halves[0] | halves[1]) != 0;
}

std::size_t scan_codes(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                       const float* row_thresholds, const float* column_thresholds,
                       std::uint32_t* codes) {
  std::size_t count = 0;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const std::int32_t* line = products + r * kPanelRows;
    const Float4 row_threshold = row_thresholds[r] - Float4{};
    for (std::size_t c = 0; c < kPanelRows; c += 4) {
      const Float4 scale = rows.scales[r] * load<Float4>(columns.scales + c);
      const Float4 offset = rows.offsets[r] + load<Float4>(columns.offsets + c);
      const Float4 bound = __builtin_convertvector(load<Int4>(line + c), Float4) * scale + offset;
      const Int4 reached =
          (bound >= row_threshold) | (bound >= load<Float4>(column_thresholds + c));
      if (any(reached)) {
        for (std::size_t lane = 0; lane < 4; ++lane) {
          codes[count] = static_cast<std::uint32_t>(r * kPanelRows + c + lane);
          count += static_cast<std::size_t>(reached[lane] != 0);
        }
      }
    }
  }
  return count;
}

double exact_dot(const float* x, const float* y, std::size_t depth) {
  double lanes[16] = {};
  std::size_t k = 0;
  for (; k + 16 <= depth; k += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      lanes[lane] += static_cast<double>(x[k + lane]) * static_cast<double>(y[k + lane]);
    }
  }
  for (std::size_t lane = 0; k + lane < depth; ++lane) {
    lanes[lane] += static_cast<double>(x[k + lane]) * static_cast<double>(y[k + lane]);
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) {
      lanes[lane] += lanes[lane + width];
    }
  }
  return lanes[0];
}

void exact_dots(const float* x, const float* const* others, std::size_t depth, double* dots) {
  for (std::size_t i = 0; i < kDotsAtOnce; ++i) {
    dots[i] = exact_dot(x, others[i], depth);
  }
}

float from_bits(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

void widen_halves(const std::uint16_t* halves, std::size_t count, float* values) {
  constexpr std::uint32_t kRebias = (127U - 15U) << 23;  // of the exponent
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t sign = (halves[i] & 0x8000U) << 16;
    const std::uint32_t magnitude = (halves[i] & 0x7FFFU) << 13;
    const std::uint32_t exponent = magnitude & 0x0F800000U;
    // A subnormal has no leading one: 2^-14 + value, less 2^-14.
    const float subnormal = from_bits(magnitude + (113U << 23)) - from_bits(113U << 23);
    const std::uint32_t special = exponent == 0x0F800000U ? kRebias : 0U;
    const float normal = from_bits(magnitude + kRebias + special);
    const float value = exponent == 0 ? subnormal : normal;
    values[i] = sign == 0 ? value : -value;
  }
}

}  // namespace

const KernelTable& baseline_kernels() {
  static constexpr KernelTable table{&tile_products, {{kGroup, 127}, &code_products},
                                     &scan_codes,    &kth_largest,
                                     &lower_steps,   &exact_dot,
                                     &exact_dots,    &code_dots,
                                     &widen_halves};
  return table;
}

}  // namespace ds2fast::simd
