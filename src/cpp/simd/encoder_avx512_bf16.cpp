// The encoder's bfloat16 products for AVX-512 BF16; all else is the AVX-512 unit's.

#include <immintrin.h>

#define DS2FAST_LANES 16
#include "simd/encoder_loops.hpp"

namespace ds2fast::simd {
namespace {

typedef std::uint16_t Halves __attribute__((vector_size(DS2FAST_LANES * 2)));

void prepare(const float* rows, std::size_t num_rows, std::size_t depth,
             const PreparedRows& prepared) {
  auto* halves = static_cast<std::uint16_t*>(prepared.values);
  for (std::size_t k = 0; k < num_rows * depth; k += kLanes) {
    const Floats values = load(rows + k);
    const Ints bits = bits_of(values);
    const Ints nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;              // ties to even
    const Ints rounded = values == values ? nearest : all(std::int32_t{0x7FC0});  // NaN is NaN
    const Halves packed = __builtin_convertvector(rounded, Halves);
    __builtin_memcpy(halves + k, &packed, sizeof packed);
  }
}

// sum += two products a lane.
__attribute__((always_inline)) inline void add_pairs(__m512& sum, __m512i a, __m512i b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

__attribute__((always_inline)) inline __m512i broadcast_pair(const std::uint16_t* from) {
  std::int32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return _mm512_set1_epi32(pair);
}

// A function of its own, so that its accumulators stay in registers.
__attribute__((noinline)) void half_products(const std::uint16_t* rows, std::size_t depth,
                                             const std::uint16_t* panel, float* products) {
  __m512 sum[kBlockRows][3];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    sum[r][0] = _mm512_setzero_ps();
    sum[r][1] = _mm512_setzero_ps();
    sum[r][2] = _mm512_setzero_ps();
  }
  for (std::size_t k = 0; k < depth; k += 2) {
    const std::uint16_t* column = panel + k * kPanelColumns;
    const __m512i first = _mm512_loadu_si512(column);
    const __m512i second = _mm512_loadu_si512(column + 32);
    const __m512i third = _mm512_loadu_si512(column + 64);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      const __m512i value = broadcast_pair(rows + r * depth + k);
      add_pairs(sum[r][0], value, first);
      add_pairs(sum[r][1], value, second);
      add_pairs(sum[r][2], value, third);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    _mm512_storeu_ps(products + r * kPanelColumns, sum[r][0]);
    _mm512_storeu_ps(products + r * kPanelColumns + 16, sum[r][1]);
    _mm512_storeu_ps(products + r * kPanelColumns + 32, sum[r][2]);
  }
}

void multiply(const PreparedRows& rows, const PanelView& weights, ProductSize size, Finish finish,
              float* output) {
  const auto* halves = static_cast<const std::uint16_t*>(rows.values);
  const auto* panels = static_cast<const std::uint16_t*>(weights.values);
  alignas(64) float products[kBlockRows * kPanelColumns];
  for_each_block(size, finish, output, [&](std::size_t panel, std::size_t row, const Block& block) {
    half_products(halves + row * size.depth, size.depth,
                  panels + panel * kPanelColumns * size.depth, products);
    finish_floats(products, weights.biases + panel * kPanelColumns, block);
  });
}

}  // namespace

ProductKernels avx512_bf16_products() {
  return {&prepare, &multiply};
}

}  // namespace ds2fast::simd
