#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "random_rows.hpp"
#include "simd/kernel_table.hpp"

namespace {

namespace simd = ds2fast::simd;
using simd::kPanelRows;
using simd::kTileSize;

TEST(tile_products_stay_within_their_bound) {
  for (const simd::Level level : simd::available_levels()) {
    for (const std::size_t depth : {1U, 7U, 64U, 127U, 128U, 129U, 383U, 1025U}) {
      const auto rows = random_values(kPanelRows * depth, 1);
      const auto columns = random_values(kPanelRows * depth, 2);
      std::vector<float> products(kTileSize, NAN);
      simd::kernels(level).tile_products(rows.data(), columns.data(), depth, products.data());
      bool within = true;
      for (std::size_t r = 0; r < kPanelRows; ++r) {
        for (std::size_t c = 0; c < kPanelRows; ++c) {
          double exact = 0.0;
          double magnitude = 0.0;
          for (std::size_t k = 0; k < depth; ++k) {
            const double term = static_cast<double>(rows[k * kPanelRows + r]) *
                                static_cast<double>(columns[k * kPanelRows + c]);
            exact += term;
            magnitude += std::abs(term);
          }
          const double unit = std::ldexp(1.0, -24);
          const double chain = static_cast<double>(depth) * unit;
          const double bound = chain / (1.0 - chain) * magnitude;
          within = within && std::abs(products[r * kPanelRows + c] - exact) <= bound;
        }
      }
      CHECK(within);
    }
  }
}

TEST(scan_finds_what_reaches_either_threshold_in_order) {
  const auto products = random_values(kTileSize, 3);
  auto row_thresholds = random_values(kPanelRows, 4);
  auto column_thresholds = random_values(kPanelRows, 5);
  row_thresholds[3] = -std::numeric_limits<float>::infinity();
  row_thresholds[4] = std::numeric_limits<float>::infinity();
  column_thresholds[7] = std::numeric_limits<float>::infinity();
  row_thresholds[9] = products[9 * kPanelRows + 20];  // equality counts as reached
  std::vector<std::uint32_t> expected;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    for (std::size_t c = 0; c < kPanelRows; ++c) {
      const float product = products[r * kPanelRows + c];
      if (product >= row_thresholds[r] || product >= column_thresholds[c]) {
        expected.push_back(static_cast<std::uint32_t>(r * kPanelRows + c));
      }
    }
  }
  for (const simd::Level level : simd::available_levels()) {
    std::vector<std::uint32_t> codes(kTileSize);
    codes.resize(simd::kernels(level).scan_tile(products.data(), row_thresholds.data(),
                                                column_thresholds.data(), codes.data()));
    CHECK(codes == expected);
  }
}

/// The documented order of the sum: 16 lanes, then folded by halves.
double dot_in_lanes(const float* x, const float* y, std::size_t depth) {
  double lanes[16] = {};
  for (std::size_t k = 0; k < depth; ++k) {
    lanes[k % 16] += static_cast<double>(x[k]) * static_cast<double>(y[k]);
  }
  for (const std::size_t width : {8U, 4U, 2U, 1U}) {
    for (std::size_t lane = 0; lane < width; ++lane) {
      lanes[lane] += lanes[lane + width];
    }
  }
  return lanes[0];
}

TEST(exact_dot_has_the_same_bits_at_every_level) {
  for (std::size_t depth = 1; depth < 80; ++depth) {
    const auto x = random_values(depth, static_cast<unsigned>(depth));
    const auto y = random_values(depth, static_cast<unsigned>(depth) + 1000);
    const double expected = dot_in_lanes(x.data(), y.data(), depth);
    for (const simd::Level level : simd::available_levels()) {
      const double dot = simd::kernels(level).exact_dot(x.data(), y.data(), depth);
      CHECK(std::memcmp(&dot, &expected, sizeof dot) == 0);
    }
  }
}

TEST(the_level_can_be_chosen_and_a_wrong_name_is_refused) {
  const char* given = std::getenv("DS2FAST_SIMD");
  const std::string before = given == nullptr ? "" : given;
  setenv("DS2FAST_SIMD", "baseline", 1);
  CHECK(simd::active_level() == simd::Level::kBaseline);
  setenv("DS2FAST_SIMD", "mmx", 1);
  CHECK_THROWS(simd::active_level(), simd::UnknownLevel);
  unsetenv("DS2FAST_SIMD");
  CHECK(simd::active_level() == simd::available_levels().back());
  if (!before.empty()) {
    setenv("DS2FAST_SIMD", before.c_str(), 1);
  }
}

}  // namespace
