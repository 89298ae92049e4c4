#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
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

std::vector<std::int8_t> random_codes(std::size_t count, std::int32_t largest, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<std::int8_t> codes(count);
  for (std::int8_t& code : codes) {
    code = static_cast<std::int8_t>(static_cast<std::int32_t>(generator() % (2 * largest + 1)) -
                                    largest);
  }
  return codes;
}

/// Value k of a row of a panel.
std::int64_t code_at(const std::vector<std::int8_t>& panel, std::size_t group, std::size_t row,
                     std::size_t k) {
  return panel[k / group * kPanelRows * group + row * group + k % group];
}

/// Checks every product of two panels of random codes, the first groups of both at the extremes.
bool products_are_exact(const simd::CodeKernel& kernel, std::size_t depth, int sign) {
  const auto [group, largest] = kernel.format;
  auto rows = random_codes(kPanelRows * depth, largest, 6);
  auto columns = random_codes(kPanelRows * depth, largest, 7);
  const std::size_t extremes = std::min(depth, 4 * group) * kPanelRows;
  std::fill_n(rows.begin(), extremes, static_cast<std::int8_t>(largest));
  std::fill_n(columns.begin(), extremes, static_cast<std::int8_t>(sign * largest));
  std::vector<std::int32_t> sums(kPanelRows);
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    for (std::size_t k = 0; k < depth; ++k) {
      sums[r] += static_cast<std::int32_t>(code_at(rows, group, r, k));
    }
  }
  std::vector<std::int32_t> products(kTileSize, -1);
  kernel.products(rows.data(), sums.data(), columns.data(), depth, products.data());
  bool exact = true;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    for (std::size_t c = 0; c < kPanelRows; c += depth > 2000 ? 17 : 1) {
      std::int64_t expected = 0;
      for (std::size_t k = 0; k < depth; ++k) {
        expected += code_at(rows, group, r, k) * code_at(columns, group, c, k);
      }
      exact = exact && products[r * kPanelRows + c] == expected;
    }
  }
  return exact;
}

TEST(code_products_are_exact) {
  for (const simd::Level level : simd::available_levels()) {
    const simd::CodeKernel& kernel = simd::kernels(level).codes;
    CHECK(kernel.format.largest <= 127 && kernel.format.largest > 0);
    for (const std::size_t groups : {1U, 2U, 3U, 15U, 96U, 97U, 257U}) {
      CHECK(products_are_exact(kernel, groups * kernel.format.group, 1));
      CHECK(products_are_exact(kernel, groups * kernel.format.group, -1));
    }
    CHECK(products_are_exact(kernel, 65536, 1));
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
    const simd::CodeBounds bounds{scales.data(), offsets.data()};
    std::vector<std::uint32_t> codes(kTileSize);
    codes.resize(kernels.scan_codes(products.data(), bounds, bounds, row_thresholds.data(),
                                    column_thresholds.data(), codes.data()));
    CHECK(codes == expected);
  }
}

TEST(the_kth_largest_of_steps_is_that_of_a_sort) {
  std::mt19937 generator(3);
  for (const std::size_t count : {16U, 48U, 400U, 40000U}) {
    for (const unsigned distinct : {3U, 60000U}) {
      std::vector<std::int16_t> values(count);
      for (std::int16_t& value : values) {
        value = static_cast<std::int16_t>(static_cast<int>(generator() % distinct) - 32767);
      }
      std::vector<std::int16_t> sorted = values;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      for (const simd::Level level : simd::available_levels()) {
        for (const std::size_t k : {std::size_t{1}, std::size_t{2}, count / 3, count}) {
          CHECK(simd::kernels(level).kth_largest(values.data(), count, k) == sorted[k - 1]);
        }
      }
    }
  }
  const std::vector<std::int16_t> many(std::size_t{1} << 20, std::int16_t{9});  // lanes fill up
  std::vector<std::int16_t> few(16, std::numeric_limits<std::int16_t>::min());
  few[3] = few[8] = 5;
  few[15] = 7;
  for (const simd::Level level : simd::available_levels()) {
    CHECK(simd::kernels(level).kth_largest(few.data(), few.size(), 3) == 5);
    CHECK(simd::kernels(level).kth_largest(few.data(), few.size(), 4) == few[0]);
    CHECK(simd::kernels(level).kth_largest(many.data(), many.size(), many.size() - 1) == 9);
  }
}

TEST(lower_steps_round_down_and_stay_in_range) {
  std::vector<std::int32_t> products(kTileSize);
  std::mt19937 generator(9);
  for (std::int32_t& product : products) {
    product = static_cast<std::int32_t>(generator() % 2000001) - 1000000;
  }
  products[5] = -2000000000;
  products[6] = 2000000000;
  // Powers of two and small integers: every bound is exact, so that nothing hangs on rounding.
  const std::vector<float> scales(kPanelRows, 0x1p-10F);
  std::vector<float> offsets(kPanelRows);
  for (std::size_t i = 0; i < kPanelRows; ++i) {
    offsets[i] = static_cast<float>(i % 5) * 0x1p-3F;
  }
  constexpr std::size_t kStride = 100;
  for (const simd::Level level : simd::available_levels()) {
    std::vector<std::int16_t> steps(kPanelRows * kStride, std::int16_t{77});
    simd::kernels(level).lower_steps(products.data(), {scales.data(), offsets.data()},
                                     {scales.data(), offsets.data()}, kStride, steps.data());
    bool right = true;
    for (std::size_t r = 0; r < kPanelRows; ++r) {
      for (std::size_t c = 0; c < kPanelRows; ++c) {
        const double bound =
            products[r * kPanelRows + c] * 0x1p-20 + static_cast<double>(offsets[r] + offsets[c]);
        const double step = steps[r * kStride + c];
        right = right && step <= std::max(bound * 32768.0, -32768.0);
        right = right && step >= std::min(bound * 32768.0 - 2.0, 32767.0);
      }
      right = right && steps[r * kStride + kPanelRows] == 77;  // the next panel's is left alone
    }
    CHECK(right);
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

TEST(four_exact_dots_are_each_the_exact_dot) {
  for (std::size_t depth = 1; depth < 80; ++depth) {
    const auto x = random_values(depth, static_cast<unsigned>(depth));
    const auto others = random_values(simd::kDotsAtOnce * depth, 2000);
    const float* rows[simd::kDotsAtOnce];
    double expected[simd::kDotsAtOnce];
    for (std::size_t i = 0; i < simd::kDotsAtOnce; ++i) {
      rows[i] = others.data() + i * depth;
      expected[i] = dot_in_lanes(x.data(), rows[i], depth);
    }
    for (const simd::Level level : simd::available_levels()) {
      double dots[simd::kDotsAtOnce];
      simd::kernels(level).exact_dots(x.data(), rows, depth, dots);
      CHECK(std::memcmp(dots, expected, sizeof dots) == 0);
    }
  }
}

/// The value of a finite float16 by its definition.
double half_value(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (half & 0x8000) == 0 ? magnitude : -magnitude;
}

TEST(every_half_widens_to_its_value) {
  constexpr std::size_t kHalves = 65536;
  std::vector<std::uint16_t> halves(kHalves);
  std::iota(halves.begin(), halves.end(), std::uint16_t{0});
  for (const simd::Level level : simd::available_levels()) {
    std::vector<float> values(kHalves + 1, 7.0F);
    simd::kernels(level).widen_halves(halves.data(), kHalves - 3, values.data());
    bool right = true;
    for (std::size_t i = 0; i < kHalves - 3; ++i) {
      const bool is_special = (halves[i] & 0x7C00) == 0x7C00;
      const double value = values[i];
      const bool is_negative = (halves[i] & 0x8000) != 0;
      if (!is_special) {
        right = right && value == half_value(halves[i]) && std::signbit(value) == is_negative;
      } else if ((halves[i] & 0x3FF) == 0) {
        right = right && std::isinf(value) && std::signbit(value) == is_negative;
      } else {
        right = right && std::isnan(value);
      }
    }
    CHECK(right);
    CHECK(values[kHalves - 3] == 7.0F);  // it writes no more than it is asked for
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
