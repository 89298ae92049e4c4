// int8 products for arm64 with the matrix multiply instructions; all else is the baseline's.

#include <arm_neon.h>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kColumns = 12;
constexpr std::size_t kGroup = 8;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;

/// A register holds the groups of two rows or of two columns, and of the products two rows by two
/// columns.
void code_products_of(const std::int8_t* rows, const std::int8_t* columns, std::size_t num_groups,
                      std::int32_t* products) {
  int32x4_t sum[kRows / 2][kColumns / 2] = {};
  for (std::size_t group = 0; group < num_groups; ++group) {
    const std::int8_t* row = rows + group * kGroupSize;
    const std::int8_t* column = columns + group * kGroupSize;
    int8x16_t two_rows[kRows / 2];
    for (std::size_t r = 0; r < kRows / 2; ++r) {
      two_rows[r] = vld1q_s8(row + 16 * r);
    }
    for (std::size_t c = 0; c < kColumns / 2; ++c) {
      const int8x16_t two_columns = vld1q_s8(column + 16 * c);
      for (std::size_t r = 0; r < kRows / 2; ++r) {
        sum[r][c] = vmmlaq_s32(sum[r][c], two_rows[r], two_columns);
      }
    }
  }
  for (std::size_t r = 0; r < kRows / 2; ++r) {
    for (std::size_t c = 0; c < kColumns / 2; ++c) {
      std::int32_t* two = products + 2 * r * kPanelRows + 2 * c;
      vst1_s32(two, vget_low_s32(sum[r][c]));
      vst1_s32(two + kPanelRows, vget_high_s32(sum[r][c]));
    }
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* /*code_sums*/,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t c = 0; c < kPanelRows; c += kColumns) {
    for (std::size_t r = 0; r < kPanelRows; r += kRows) {
      code_products_of(rows + r * kGroup, columns + c * kGroup, depth / kGroup,
                       products + r * kPanelRows + c);
    }
  }
}

}  // namespace

CodeKernel neon_i8mm_codes() {
  return {{kGroup, 127}, &code_products};
}

}  // namespace ds2fast::simd
