#pragma once

#include <cstddef>
#include <cstdint>

namespace ds2fast::simd {

enum class Level : int;  // simd/level.hpp, which the units of instruction sets must not include

/// Rows in a panel. 48 is a multiple of every unit's register tile.
constexpr std::size_t kPanelRows = 48;
constexpr std::size_t kTileSize = kPanelRows * kPanelRows;

/// Inner products of two panels in float32, for choices that need not be exact.
///
/// Layout: a panel is (depth, 48) float32, value k of row r at [k * 48 + r]; `products` is (48, 48)
/// float32, row r of `rows` and column c of `columns` at [r * 48 + c].
/// Accumulator: float32, one chain over k in ascending order, so for unit rows the error of a
/// product is at most depth * 2^-24 / (1 - depth * 2^-24) (Higham, section 3.1).
using TileProducts = void (*)(const float* rows, const float* columns, std::size_t depth,
                              float* products);

/// How a unit reads int8 codes.
struct CodeFormat {
  std::size_t group;     ///< values of one row that lie side by side: 4 or 8
  std::int32_t largest;  ///< codes lie in [-largest, largest]: 127, or 63 where sums of two
                         ///< products must fit int16
};

/// Inner products of two panels of int8 codes, the first pass of the k-NN search.
///
/// Layout: with g values in a group, a panel is (depth / g, 48, g) int8, value k of row r at [(k /
/// g) * 48 g + r * g + k % g]; depth is a multiple of g. `code_sums` holds the sum of each row's
/// codes in `rows`. `products` is (48, 48) int32.
/// Accumulator: int32, exact for depth up to 2^16.
using CodeProducts = void (*)(const std::int8_t* rows, const std::int32_t* code_sums,
                              const std::int8_t* columns, std::size_t depth,
                              std::int32_t* products);

struct CodeKernel {
  CodeFormat format;
  CodeProducts products;
};

/// What turns a product of codes into an upper bound of a cosine: 48 values each.
struct CodeBounds {
  const float* scales;
  const float* offsets;
};

/// Codes r * 48 + c, ascending, of the pairs whose upper bound products[r, c] * (row scale * column
/// scale) + (row offset + column offset) reaches (>=) row threshold r or column threshold c.
/// `codes` has room for 48 * 48. Returns how many there are. Where a unit multiplies and adds in
/// one rounding, the bound differs in its last bit.
using ScanCodes = std::size_t (*)(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                                  const float* row_thresholds, const float* column_thresholds,
                                  std::uint32_t* codes);

/// Bounds of cosines as int16, in steps of 2^-15.
///
/// The k-th largest of `count` values, or kLeastStep where fewer than k are above that.
/// `count` is a multiple of kStepsAtOnce.
constexpr std::int16_t kLeastStep = -0x8000;
constexpr std::int16_t kLastStep = 0x7FFF;
using KthLargest = std::int16_t (*)(const std::int16_t* values, std::size_t count, std::size_t k);
constexpr std::size_t kStepsAtOnce = 16;

/// As ScanCodes' bounds, of offsets that make them lower ones, all of them, less up to two steps:
/// that of row r and column c to steps[r * stride + c]. No bound is 2^16 or more.
using LowerSteps = void (*)(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                            std::size_t stride, std::int16_t* steps);

/// Inner product of two float32 rows in float64. Every product is exact; the sums run in 16 lanes
/// (lane l adds k = l, l + 16, ... in ascending order), which are then folded 8 + 8, 4 + 4, 2 + 2,
/// 1 + 1, so every unit gives the same bits. Error at most (depth / 16 + 5) * 2^-53 * sum |x_k
/// y_k|.
using ExactDot = double (*)(const float* x, const float* y, std::size_t depth);

/// ExactDot of x with each of four rows: the same bits, in less time.
constexpr std::size_t kDotsAtOnce = 4;
using ExactDots = void (*)(const float* x, const float* const* others, std::size_t depth,
                           double* dots);

/// Inner products of a row of codes with each of four rows. The codes of a row lie side by side;
/// depth is a multiple of 64. Exact in int32 for depth up to 2^16.
using CodeDots = void (*)(const std::int8_t* x, const std::int8_t* const* others, std::size_t depth,
                          std::int32_t* dots);

/// float16 to float32, which is exact; NaN and infinities stay such.
using WidenHalves = void (*)(const std::uint16_t* halves, std::size_t count, float* values);

/// The kernels of one instruction set. Only plain pointers cross into its translation unit.
struct KernelTable {
  TileProducts tile_products;
  CodeKernel codes;
  ScanCodes scan_codes;
  KthLargest kth_largest;
  LowerSteps lower_steps;
  ExactDot exact_dot;
  ExactDots exact_dots;
  CodeDots code_dots;
  WidenHalves widen_halves;
};

/// The kernels of a level that available_levels() names.
const KernelTable& kernels(Level level);

/// Defined by the units of whole instruction sets, one each.
const KernelTable& baseline_kernels();
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();

/// Defined by the units of extensions that add products of bytes to one of these.
CodeKernel avx_vnni_codes();
CodeKernel avx512_vnni_codes();
CodeKernel neon_dot_codes();
CodeKernel neon_i8mm_codes();

}  // namespace ds2fast::simd
