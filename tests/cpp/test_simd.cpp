#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "random_rows.hpp"
#include "simd/kernel_table.hpp"
#include "simd/level.hpp"

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

std::vector<std::int8_t> random_codes(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<std::int8_t> codes(count);
  for (std::int8_t& code : codes) {
    code = static_cast<std::int8_t>(static_cast<int>(generator() % 255) - 127);
  }
  return codes;
}

TEST(code_products_are_exact) {
  for (const std::size_t depth : {4U, 8U, 60U, 384U, 65536U}) {
    auto rows = random_codes(kPanelRows * depth, 6);
    auto columns = random_codes(kPanelRows * depth, 7);
    std::fill_n(rows.begin(), 192, static_cast<std::int8_t>(127));  // the extremes
    std::fill_n(columns.begin(), 192, static_cast<std::int8_t>(-127));
    const auto at = [](const std::vector<std::int8_t>& panel, std::size_t row, std::size_t k) {
      return std::int64_t{panel[k / 4 * 192 + row * 4 + k % 4]};
    };
    std::vector<std::int32_t> sums(kPanelRows);
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      for (std::size_t k = 0; k < depth; ++k) {
        sums[r] += static_cast<std::int32_t>(at(rows, r, k));
      }
    }
    for (const simd::Level level : simd::available_levels()) {
      const simd::KernelTable& kernels = simd::kernels(level);
      if (kernels.code_products == nullptr) {
        continue;
      }
      std::vector<std::int32_t> products(kTileSize, -1);
      kernels.code_products(rows.data(), sums.data(), columns.data(), depth, products.data());
      bool exact = true;
      for (std::size_t r = 0; r < kPanelRows; ++r) {
        for (std::size_t c = 0; c < kPanelRows; c += depth > 1000 ? 17 : 1) {
          std::int64_t expected = 0;
          for (std::size_t k = 0; k < depth; ++k) {
            expected += at(rows, r, k) * at(columns, c, k);
          }
          exact = exact && products[r * kPanelRows + c] == expected;
        }
      }
      CHECK(exact);
    }
  }
}

TEST(scan_of_codes_finds_bounds_that_reach_a_threshold) {
  std::vector<std::int32_t> products(kTileSize);
  std::mt19937 generator(8);
  for (std::int32_t& product : products) {
    product = static_cast<std::int32_t>(generator() % 2000001) - 1000000;
  }
  // Powers of two and small integers: every bound is exact, so that nothing hangs on rounding.
  std::vector<float> scales(kPanelRows, 0x1p-10F);
  std::vector<float> offsets(kPanelRows);
  std::vector<float> row_thresholds(kPanelRows, 0.75F);
  std::vector<float> column_thresholds(kPanelRows, 0.5F);
  for (std::size_t i = 0; i < kPanelRows; ++i) {
    offsets[i] = static_cast<float>(i % 5) * 0x1p-3F;
    row_thresholds[i] += static_cast<float>(i % 7) * 0x1p-3F;
    column_thresholds[i] += static_cast<float>(i % 3) * 0x1p-2F;
  }
  row_thresholds[11] = std::numeric_limits<float>::infinity();
  column_thresholds[12] = -std::numeric_limits<float>::infinity();
  std::vector<std::uint32_t> expected;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    for (std::size_t c = 0; c < kPanelRows; ++c) {
      const float bound =
          static_cast<float>(products[r * kPanelRows + c]) * 0x1p-20F + (offsets[r] + offsets[c]);
      if (bound >= row_thresholds[r] || bound >= column_thresholds[c]) {
        expected.push_back(static_cast<std::uint32_t>(r * kPanelRows + c));
      }
    }
  }
  for (const simd::Level level : simd::available_levels()) {
    const simd::KernelTable& kernels = simd::kernels(level);
    if (kernels.scan_codes == nullptr) {
      continue;
    }
    const simd::CodeBounds bounds{scales.data(), offsets.data()};
    std::vector<std::uint32_t> codes(kTileSize);
    codes.resize(kernels.scan_codes(products.data(), bounds, bounds, row_thresholds.data(),
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
