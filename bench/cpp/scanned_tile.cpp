#include "scanned_tile.hpp"

namespace ds2fast::bench {
namespace {

// Products are below 500, scales 0.01 and offsets 0.1: bounds lie from 0.2 to 0.25.
constexpr float kOutOfReach = 1.0F;
constexpr float kLow = 0.0F;

}  // namespace

ScannedTile::ScannedTile(simd::ScanCodes scan_codes) : scan_codes_(scan_codes), codes_{} {
  for (std::size_t i = 0; i < products_.size(); ++i) {
    products_[i] = static_cast<std::int32_t>(i * 37 % 500);
  }
  scales_.fill(0.01F);
  offsets_.fill(0.1F);
  thresholds_.fill(kOutOfReach);
}

std::size_t ScannedTile::scan_once() {
  const simd::CodeBounds bounds{scales_.data(), offsets_.data()};
  return scan_codes_(products_.data(), bounds, bounds, thresholds_.data(), thresholds_.data(),
                     codes_.data());
}

std::size_t ScannedTile::scan(std::size_t count) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found += scan_once();
  }
  return found;
}

bool ScannedTile::is_right() {
  const bool finds_none = scan_once() == 0;
  thresholds_.fill(kLow);
  const bool finds_all = scan_once() == simd::kTileSize;
  thresholds_.fill(kOutOfReach);
  return finds_none && finds_all;
}

}  // namespace ds2fast::bench
