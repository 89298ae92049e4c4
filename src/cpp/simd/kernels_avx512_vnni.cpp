// int8 kernels for AVX-512 VNNI; the float kernels are those of the AVX-512 unit.

#include <immintrin.h>

#include "simd/kernel_table.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kQuadSize = kPanelRows * 4;

// sum += u * s in quads of unsigned by signed bytes. As an intrinsic, GCC 12 copies and spills the
// accumulators.
__attribute__((always_inline)) inline void add_quads(__m512i& sum, __m512i u, __m512i s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
}

__attribute__((always_inline)) inline __m512i broadcast_quad(const std::int8_t* from) {
  std::int32_t quad;
  __builtin_memcpy(&quad, from, sizeof quad);
  return _mm512_set1_epi32(quad);
}

// A function of its own, so that its accumulators stay in registers.
__attribute__((noinline)) void eight_rows(const std::int8_t* rows, const std::int32_t* code_sums,
                                          const std::int8_t* columns, std::size_t num_quads,
                                          std::int32_t* products) {
  // One factor must be unsigned: the columns, as code + 128. What that adds is taken off
  // beforehand.
  const __m512i to_unsigned = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i sum[kRows][3];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    const __m512i start = _mm512_set1_epi32(-128 * code_sums[r]);
    sum[r][0] = start;
    sum[r][1] = start;
    sum[r][2] = start;
  }
  for (std::size_t quad = 0; quad < num_quads; ++quad) {
    const std::int8_t* column = columns + quad * kQuadSize;
    const __m512i first = _mm512_xor_si512(_mm512_loadu_si512(column), to_unsigned);
    const __m512i second = _mm512_xor_si512(_mm512_loadu_si512(column + 64), to_unsigned);
    const __m512i third = _mm512_xor_si512(_mm512_loadu_si512(column + 128), to_unsigned);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m512i value = broadcast_quad(rows + quad * kQuadSize + 4 * r);
      add_quads(sum[r][0], first, value);
      add_quads(sum[r][1], second, value);
      add_quads(sum[r][2], third, value);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    _mm512_storeu_si512(products + r * kPanelRows, sum[r][0]);
    _mm512_storeu_si512(products + r * kPanelRows + 16, sum[r][1]);
    _mm512_storeu_si512(products + r * kPanelRows + 32, sum[r][2]);
  }
}

void code_products(const std::int8_t* rows, const std::int32_t* code_sums,
                   const std::int8_t* columns, std::size_t depth, std::int32_t* products) {
  for (std::size_t r = 0; r < kPanelRows; r += kRows) {
    eight_rows(rows + 4 * r, code_sums + r, columns, depth / 4, products + r * kPanelRows);
  }
}

__attribute__((always_inline)) inline __mmask16 passes(const std::int32_t* products,
                                                       __m512 row_scale, __m512 row_offset,
                                                       __m512 row_threshold, __m512 scale,
                                                       __m512 offset, __m512 threshold) {
  const __m512 product = _mm512_cvtepi32_ps(_mm512_loadu_si512(products));
  const __m512 bound =
      _mm512_fmadd_ps(product, _mm512_mul_ps(row_scale, scale), _mm512_add_ps(row_offset, offset));
  return _mm512_cmp_ps_mask(bound, _mm512_min_ps(row_threshold, threshold), _CMP_GE_OQ);
}

std::size_t scan_codes(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                       const float* row_thresholds, const float* column_thresholds,
                       std::uint32_t* codes) {
  __m512 scale[3];
  __m512 offset[3];
  __m512 threshold[3];
#pragma GCC unroll 3
  for (std::size_t part = 0; part < 3; ++part) {
    scale[part] = _mm512_loadu_ps(columns.scales + 16 * part);
    offset[part] = _mm512_loadu_ps(columns.offsets + 16 * part);
    threshold[part] = _mm512_loadu_ps(column_thresholds + 16 * part);
  }
  std::size_t count = 0;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    const __m512 row_scale = _mm512_set1_ps(rows.scales[r]);
    const __m512 row_offset = _mm512_set1_ps(rows.offsets[r]);
    const __m512 row_threshold = _mm512_set1_ps(row_thresholds[r]);
    std::uint64_t hits = 0;
#pragma GCC unroll 3
    for (std::size_t part = 0; part < 3; ++part) {
      const __mmask16 passed = passes(products + r * kPanelRows + 16 * part, row_scale, row_offset,
                                      row_threshold, scale[part], offset[part], threshold[part]);
      hits |= static_cast<std::uint64_t>(passed) << (16 * part);
    }
    for (; hits != 0; hits &= hits - 1) {
      codes[count++] = static_cast<std::uint32_t>(r * kPanelRows) +
                       static_cast<std::uint32_t>(__builtin_ctzll(hits));
    }
  }
  return count;
}

}  // namespace

const KernelTable& avx512_vnni_kernels() {
  static const KernelTable table{avx512_kernels().tile_products, avx512_kernels().scan_tile,
                                 avx512_kernels().exact_dot, &code_products, &scan_codes};
  return table;
}

}  // namespace ds2fast::simd
