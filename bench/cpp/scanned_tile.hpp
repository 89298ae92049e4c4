#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "simd/kernel_table.hpp"

namespace ds2fast::bench {

/// A tile of products, and thresholds that no bound reaches: what the scan of a tile costs at
/// least.
class ScannedTile {
 public:
  explicit ScannedTile(simd::ScanCodes scan_codes);

  /// Pairs that were found, of the `count` scans together.
  std::size_t scan(std::size_t count);

  /// Whether none is found, and all are where the thresholds are low.
  bool is_right();

 private:
  std::size_t scan_once();

  simd::ScanCodes scan_codes_;
  std::array<std::int32_t, simd::kTileSize> products_;
  std::array<std::uint32_t, simd::kTileSize> codes_;
  std::array<float, simd::kPanelRows> scales_;
  std::array<float, simd::kPanelRows> offsets_;
  std::array<float, simd::kPanelRows> thresholds_;
};

}  // namespace ds2fast::bench
