#pragma once

#include <cstddef>
#include <cstdint>

namespace ds2fast::simd {

enum class Level : int;  // simd/level.hpp, which the units of instruction sets must not include

/// Rows in a panel. 48 is a multiple of every unit's register tile (4 x 8, 6 x 16, 8 x 48).
constexpr std::size_t kPanelRows = 48;
constexpr std::size_t kTileSize = kPanelRows * kPanelRows;

/// Inner products of two panels, the first pass of the k-NN search.
///
/// Layout: a panel is (depth, 48) float32, value k of row r at [k * 48 + r]; `products` is (48, 48)
/// float32, row r of `rows` and column c of `columns` at [r * 48 + c].
/// Accumulator: float32, one chain over k in ascending order, so for unit rows the error of a
/// product is at most depth * 2^-24 / (1 - depth * 2^-24) (Higham, section 3.1).
using TileProducts = void (*)(const float* rows, const float* columns, std::size_t depth,
                              float* products);

/// Codes r * 48 + c, ascending, of the products that reach row threshold r or column threshold c
/// (>=). `codes` has room for 48 * 48. Returns how many there are.
using ScanTile = std::size_t (*)(const float* products, const float* row_thresholds,
                                 const float* column_thresholds, std::uint32_t* codes);

/// Inner products of two panels of int8 codes, the first pass of the k-NN search where the unit has
/// it.
///
/// Layout: a panel is (depth / 4, 48, 4) int8, value k of row r at [(k / 4) * 192 + r * 4 + k % 4];
/// depth is a multiple of 4. `code_sums` holds the sum of each row's codes in `rows`. `products` is
/// (48, 48) int32. Accumulator: int32, exact for depth up to 2^16.
using CodeProducts = void (*)(const std::int8_t* rows, const std::int32_t* code_sums,
                              const std::int8_t* columns, std::size_t depth,
                              std::int32_t* products);

/// What turns a product of codes into an upper bound of a cosine: 48 values each.
struct CodeBounds {
  const float* scales;
  const float* offsets;
};

/// As ScanTile, of upper bounds products[r, c] * (row scale * column scale) + (row + column
/// offset).
using ScanCodes = std::size_t (*)(const std::int32_t* products, CodeBounds rows, CodeBounds columns,
                                  const float* row_thresholds, const float* column_thresholds,
                                  std::uint32_t* codes);

/// Inner product of two float32 rows in float64. Every product is exact; the sums run in 16 lanes
/// (lane l adds k = l, l + 16, ... in ascending order), which are then folded 8 + 8, 4 + 4, 2 + 2,
/// 1 + 1, so every unit gives the same bits. Error at most (depth / 16 + 5) * 2^-53 * sum |x_k
/// y_k|.
using ExactDot = double (*)(const float* x, const float* y, std::size_t depth);

/// The kernels of one instruction set. Only plain pointers cross into its translation unit.
struct KernelTable {
  TileProducts tile_products;
  ScanTile scan_tile;
  ExactDot exact_dot;
  CodeProducts code_products = nullptr;  // nullptr: this unit has no fast int8 products
  ScanCodes scan_codes = nullptr;
};

/// The kernels of a level that available_levels() names.
const KernelTable& kernels(Level level);

/// Defined by the units, one each.
const KernelTable& baseline_kernels();
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& avx512_vnni_kernels();

}  // namespace ds2fast::simd
