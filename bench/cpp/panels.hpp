#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "simd/kernel_table.hpp"

namespace ds2fast::bench {

/// Row panels and as many column panels of random codes, together in the second-level cache, and
/// their products by the tile of a level.
class Panels {
 public:
  Panels(const simd::CodeKernel& kernel, std::size_t depth, unsigned seed);

  /// Multiplies every row panel by every column panel.
  void multiply();

  /// Multiply-adds of multiply().
  std::size_t macs() const { return num_tiles() * simd::kTileSize * depth_; }
  std::size_t num_tiles() const { return side_ * side_; }

  /// Whether the tiles of some pairs of panels, the first and the last among them, are the plain
  /// sums in int64.
  bool are_right();

 private:
  const std::int8_t* panel(std::size_t index) const {
    return codes_.data() + index * simd::kPanelRows * depth_;
  }
  void multiply(std::size_t row_panel, std::size_t column_panel);
  std::int64_t plain_product(std::size_t row_panel, std::size_t r, std::size_t column_panel,
                             std::size_t c) const;
  std::size_t place(std::size_t row, std::size_t k) const;

  simd::CodeKernel kernel_;
  std::size_t depth_;
  std::size_t side_;                     ///< row panels; the column panels stand behind them
  std::vector<std::int8_t> codes_;       ///< in panels, not aligned: nor are those of a search
  std::vector<std::int32_t> code_sums_;  ///< of every row of every panel
  std::vector<std::int32_t> products_;   ///< of one tile, the last
};

}  // namespace ds2fast::bench
