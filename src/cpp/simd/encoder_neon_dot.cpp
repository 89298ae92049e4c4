// The encoder's int8 products for arm64 with the dot product instructions; all else is the
// baseline's.

#include <arm_neon.h>

#define DS2FAST_LANES 4
#include "simd/encoder_loops.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kGroup = 4;
constexpr std::size_t kColumns = 12;
constexpr std::int32_t kShift = 128;  // both factors are signed

__attribute__((always_inline)) inline int8x16_t broadcast_group(const std::uint8_t* from) {
  std::int32_t group;
  __builtin_memcpy(&group, from, sizeof group);
  return vreinterpretq_s8_s32(vdupq_n_s32(group));
}

void tile(const std::uint8_t* rows, std::size_t depth, const std::int8_t* panel,
          std::int32_t* products) {
  int32x4_t sum[kBlockRows][3] = {};
  for (std::size_t k = 0; k < depth; k += kGroup) {
    const std::int8_t* column = panel + k * kPanelColumns;
    const int8x16_t first = vld1q_s8(column);
    const int8x16_t second = vld1q_s8(column + 16);
    const int8x16_t third = vld1q_s8(column + 32);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      const int8x16_t value = broadcast_group(rows + r * depth + k);
      sum[r][0] = vdotq_s32(sum[r][0], value, first);
      sum[r][1] = vdotq_s32(sum[r][1], value, second);
      sum[r][2] = vdotq_s32(sum[r][2], value, third);
    }
  }
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    for (std::size_t part = 0; part < 3; ++part) {
      vst1q_s32(products + r * kPanelColumns + 4 * part, sum[r][part]);
    }
  }
}

void byte_products(const std::uint8_t* rows, std::size_t depth, const std::int8_t* panel,
                   std::int32_t* products) {
  for (std::size_t c = 0; c < kPanelColumns; c += kColumns) {
    tile(rows, depth, panel + c * kGroup, products + c);
  }
}

void prepare(const float* rows, std::size_t num_rows, std::size_t depth,
             const PreparedRows& prepared) {
  prepare_codes(rows, num_rows, depth, prepared, kShift, [](std::uint8_t* to, Ints codes) {
    const uint16x4_t halves = vmovn_u32(reinterpret_cast<uint32x4_t>(codes));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(halves, halves));
    const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    __builtin_memcpy(to, &four, sizeof four);
  });
}

void multiply(const PreparedRows& rows, const PanelView& weights, ProductSize size, Finish finish,
              float* output) {
  multiply_codes(rows, weights, size, finish, output, byte_products);
}

}  // namespace

ProductKernels neon_dot_products() {
  return {&prepare, &multiply};
}

}  // namespace ds2fast::simd
