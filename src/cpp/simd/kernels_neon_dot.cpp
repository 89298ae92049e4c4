// int8 products for arm64 with the dot product instructions; all else is the baseline's.

#include <arm_neon.h>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kColumns = 12;
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupSize = kPanelRows * kGroup;

/// Four rows of the register tile: their groups are the four lanes of `rows`.
__attribute__((always_inline)) inline void add_four_rows(int32x4_t (*sum)[3], int8x16_t rows,
                                                         const int8x16_t* columns) {
  for (std::size_t part = 0; part < 3; ++part) {
    sum[0][part] = vdotq_laneq_s32(sum[0][part], columns[part], rows, 0);
    sum[1][part] = vdotq_laneq_s32(sum[1][part], columns[part], rows, 1);
    sum[2][part] = vdotq_laneq_s32(sum[2][part], columns[part], rows, 2);
    sum[3][part] = vdotq_laneq_s32(sum[3][part], columns[part], rows, 3);
  }
}

void code_products_of(const std::int8_t* rows, const std::int8_t* columns, std::size_t num_groups,
                      std::int32_t* products) {
  int32x4_t sum[kRows][3] = {};
  for (std::size_t group = 0; group < num_groups; ++group) {
    const std::int8_t* row = rows + group * kGroupSize;
    const std::int8_t* column = columns + group * kGroupSize;
    const int8x16_t twelve[3] = {vld1q_s8(column), vld1q_s8(column + 16), vld1q_s8(column + 32)};
    add_four_rows(sum, vld1q_s8(row), twelve);
    add_four_rows(sum + 4, vld1q_s8(row + 16), twelve);
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t part = 0; part < 3; ++part) {
      vst1q_s32(products + r * kPanelRows + 4 * part, sum[r][part]);
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

CodeKernel neon_dot_codes() {
  return {{kGroup, 127}, &code_products};
}

}  // namespace ds2fast::simd
