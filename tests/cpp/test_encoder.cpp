#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "core/aligned_array.hpp"
#include "core/monitor.hpp"
#include "core/round_up.hpp"
#include "encoder/arithmetic.hpp"
#include "encoder/linear_layer.hpp"
#include "encoder/text_encoder.hpp"
#include "random_rows.hpp"
#include "simd/encoder_kernels.hpp"
#include "simd/level.hpp"

// As a unit does, for exp_of and the forms of GELU by themselves; the units' own copies are
// reached through their kernels.
#define DS2FAST_LANES 4
#include "simd/encoder_loops.hpp"

namespace {

namespace simd = ds2fast::simd;
using ds2fast::AlignedArray;
using ds2fast::round_up_to;
using ds2fast::encoder::Arithmetic;
using ds2fast::encoder::choose_arithmetic;
using ds2fast::encoder::LinearLayer;
using ds2fast::encoder::Precision;
using ds2fast::encoder::PreparedRoom;
using simd::Finish;
using simd::kBlockRows;

constexpr double kUnit = 0x1p-24;  // half a unit in the last place of 1, float32
constexpr Precision kPrecisions[] = {Precision::kFp32, Precision::kBf16, Precision::kInt8};
constexpr Finish kFinishes[] = {Finish::kStore, Finish::kAdd, Finish::kGelu, Finish::kGeluTanh,
                                Finish::kRelu};
#if defined(__aarch64__)
constexpr bool kSignedCodes = true;  // its products are of signed bytes
#else
constexpr bool kSignedCodes = false;
#endif

bool same_bytes(const float* x, const float* y, std::size_t count) {
  return std::memcmp(x, y, count * sizeof(float)) == 0;
}

bool is_finite(float value) {
  return std::isfinite(value);
}

bool same_bytes(const std::vector<float>& x, const std::vector<float>& y) {
  return x.size() == y.size() && same_bytes(x.data(), y.data(), x.size());
}

Arithmetic arithmetic_at(simd::Level level, Precision precision) {
  return choose_arithmetic(precision, simd::encoder_kernels(level));
}

/// To 8 significant bits, ties to even, by the rounding of doubles.
double nearest_bf16(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

// --- Rows and weights ----------------------------------------------------------------------------

/// Rows times the weights of a layer, and what stands in the output before.
struct Product {
  std::size_t rows;
  std::size_t depth;
  std::size_t columns;
  std::vector<float> values;
  std::vector<float> weights;
  std::vector<float> biases;
  std::vector<float> before;

  Product(std::size_t num_rows, std::size_t num_values, std::size_t num_columns)
      : rows(num_rows),
        depth(num_values),
        columns(num_columns),
        values(random_values(rows * depth, 1)),
        weights(random_values(columns * depth, 2)),
        biases(random_values(columns, 3)),
        before(random_values(rows * columns, 4)) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] += 0.3F * static_cast<float>(i / depth % 5);  // zeros of codes that differ
    }
  }
};

/// The rows, with what must not matter in the rest of their last block.
AlignedArray<float> with_rest(const std::vector<float>& values, std::size_t rows,
                              std::size_t depth) {
  const std::size_t size = round_up_to(rows, kBlockRows) * depth;
  auto memory = AlignedArray<float>::unset(size);
  std::fill(memory.data(), memory.data() + size, NAN);
  std::copy(values.begin(), values.end(), memory.data());
  return memory;
}

std::vector<float> run(const Product& product, const Arithmetic& arithmetic, Finish finish) {
  const LinearLayer layer(arithmetic, {product.weights.data(), product.columns, product.depth},
                          {product.biases.data(), product.columns});
  const PreparedRoom room(round_up_to(product.rows, kBlockRows), product.depth);
  const auto rows = with_rest(product.values, product.rows, product.depth);
  std::vector<float> output = product.before;
  output.resize(output.size() + 48, 7.0F);
  layer.apply(rows.data(), product.rows, room, finish, output.data());
  // Nothing is written behind the last column of the last row.
  CHECK(std::all_of(output.end() - 48, output.end(), [](float value) { return value == 7.0F; }));
  output.resize(output.size() - 48);
  return output;
}

/// What a precision makes of rows: its codes, and the values that these stand for.
struct Prepared {
  std::vector<double> values;
  std::vector<double> codes;  ///< in 0..255; of int8 alone
  std::vector<double> scales;
  std::vector<double> zeros;
};

Prepared native_codes(const simd::PreparedRows& view, std::size_t rows, std::size_t depth) {
  Prepared prepared;
  const auto* bytes = static_cast<const std::uint8_t*>(view.values);
  for (std::size_t i = 0; i < rows * depth; ++i) {
    const double scale = view.scales[i / depth];
    const double shift = kSignedCodes ? 128.0 : 0.0;
    const double code =
        kSignedCodes ? static_cast<double>(static_cast<std::int8_t>(bytes[i])) : bytes[i];
    const double zero = view.zeros[i / depth];
    prepared.codes.push_back(code + shift);
    prepared.zeros.push_back(zero + shift);
    prepared.scales.push_back(scale);
    prepared.values.push_back(scale * (code - zero));
  }
  return prepared;
}

Prepared prepare(const std::vector<float>& values, std::size_t rows, std::size_t depth,
                 const Arithmetic& arithmetic) {
  Prepared prepared;
  if (arithmetic.kernels.prepare == nullptr) {
    prepared.values.assign(values.begin(), values.end());
    return prepared;
  }
  const PreparedRoom room(round_up_to(rows, kBlockRows), depth);
  const auto memory = with_rest(values, rows, depth);
  arithmetic.kernels.prepare(memory.data(), rows, depth, room.view());
  if (arithmetic.is_native && arithmetic.precision == Precision::kInt8) {
    return native_codes(room.view(), rows, depth);
  }
  for (std::size_t i = 0; i < rows * depth; ++i) {
    float value;
    if (arithmetic.is_native) {
      const std::uint32_t bits =
          std::uint32_t{static_cast<const std::uint16_t*>(room.view().values)[i]} << 16;
      std::memcpy(&value, &bits, sizeof value);
    } else {
      value = static_cast<const float*>(room.view().values)[i];
    }
    prepared.values.push_back(value);
  }
  return prepared;
}

/// A column's weights as the precision has them.
std::vector<double> rounded_weights(const float* weights, std::size_t depth, Precision precision) {
  namespace encoder = ds2fast::encoder;
  std::vector<double> rounded(weights, weights + depth);
  const float scale = encoder::code_scale(weights, depth);
  for (std::size_t k = 0; k < depth; ++k) {
    if (precision == Precision::kBf16) {
      rounded[k] = nearest_bf16(rounded[k]);
    } else if (precision == Precision::kInt8) {
      rounded[k] = static_cast<double>(scale) * encoder::code_of(weights[k], scale);
    }
  }
  return rounded;
}

// --- Products ------------------------------------------------------------------------------------

double phi(double x) {
  return 0.5 * std::erfc(-x * std::sqrt(0.5));
}

double gelu_tanh(double x) {
  const double u = std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
  return x / (1.0 + std::exp(-2.0 * u));
}

double finished(Finish finish, double x, double before) {
  switch (finish) {
    case Finish::kAdd:
      return x + before;
    case Finish::kGelu:
      return x * phi(x);
    case Finish::kGeluTanh:
      return gelu_tanh(x);
    case Finish::kRelu:
      return std::max(x, 0.0);
    case Finish::kStore:
      break;
  }
  return x;
}

/// How far an output may be from what doubles give on the same rounded values.
///
/// A chain of `depth` products in float32 errs by at most depth * u / (1 - depth * u) * sum |x w|,
/// u = 2^-24; where int8 is played in float32, each factor is rounded once more. Sums of codes are
/// exact, and lose 3 u to their conversion and the two scales, which is less. The bias adds a
/// rounding, kAdd another. GELU's slope is at most 1.13, and it errs by 4e-7 |x| by itself.
double tolerance(double x, double before, double magnitude, std::size_t depth, Finish finish) {
  const double chain = static_cast<double>(depth + 3) * kUnit;
  const double product = chain / (1.0 - chain) * magnitude + kUnit * std::abs(x);
  if (finish == Finish::kGelu || finish == Finish::kGeluTanh) {
    return 1.13 * product + 4e-7 * std::abs(x);
  }
  return product + kUnit * (product + std::abs(x) + std::abs(before));
}

bool products_are_right(const Product& product, const Arithmetic& arithmetic, Finish finish) {
  const std::vector<float> found = run(product, arithmetic, finish);
  const Prepared rows = prepare(product.values, product.rows, product.depth, arithmetic);
  bool right = true;
  for (std::size_t c = 0; c < product.columns; ++c) {
    const auto weights = rounded_weights(product.weights.data() + c * product.depth, product.depth,
                                         arithmetic.precision);
    for (std::size_t r = 0; r < product.rows; ++r) {
      double x = product.biases[c];
      double magnitude = 0.0;
      for (std::size_t k = 0; k < product.depth; ++k) {
        const double term = rows.values[r * product.depth + k] * weights[k];
        x += term;
        magnitude += std::abs(term);
      }
      const double before = product.before[r * product.columns + c];
      const double off = found[r * product.columns + c] - finished(finish, x, before);
      right = right && std::abs(off) <= tolerance(x, before, magnitude, product.depth, finish);
    }
  }
  return right;
}

TEST(products_stay_within_their_bound_for_any_number_of_rows) {
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      const Arithmetic arithmetic = arithmetic_at(level, precision);
      for (std::size_t rows = 1; rows <= 17; ++rows) {
        CHECK(products_are_right({rows, 48, 64}, arithmetic, Finish::kAdd));
      }
    }
  }
}

TEST(products_stay_within_their_bound_for_any_depth_and_part_of_a_panel) {
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      const Arithmetic arithmetic = arithmetic_at(level, precision);
      for (const std::size_t depth : {16U, 32U, 48U, 320U, 384U, 1536U}) {
        for (const std::size_t columns : {16U, 32U, 48U, 112U}) {
          CHECK(products_are_right({9, depth, columns}, arithmetic, Finish::kStore));
        }
      }
    }
  }
}

TEST(products_are_finished_in_each_way) {
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      for (const Finish finish : kFinishes) {
        CHECK(products_are_right({11, 64, 80}, arithmetic_at(level, precision), finish));
      }
    }
  }
}

/// Whole numbers that every precision holds as they are: rows reach from `low` to low + 255, or
/// stay within 8 bits for bfloat16; weights reach 127.
Product whole_numbers(std::size_t depth, int low, bool extreme) {
  Product product(9, depth, 64);
  std::mt19937 generator(5);
  for (std::size_t i = 0; i < product.values.size(); ++i) {
    const bool at_end = extreme && i % depth > 0;
    const int step = at_end ? 255 : static_cast<int>(generator() % 256);
    product.values[i] = static_cast<float>(low + (i % depth == 0 ? 0 : step));
    product.values[i] = i % depth == 1 ? static_cast<float>(low + 255) : product.values[i];
  }
  for (std::size_t i = 0; i < product.weights.size(); ++i) {
    const int weight = extreme ? 127 : static_cast<int>(generator() % 255) - 127;
    const int sign = i / depth % 2 == 0 ? 1 : -1;
    product.weights[i] = static_cast<float>(i % depth == 0 ? 127 : sign * weight);
  }
  std::fill(product.biases.begin(), product.biases.end(), 0.0F);
  return product;
}

/// Every sum is the whole number that it should be, rounded once to float32.
bool sums_are_exact(const Product& product, const Arithmetic& arithmetic) {
  const std::vector<float> found = run(product, arithmetic, Finish::kStore);
  bool exact = true;
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::int64_t sum = 0;
    for (std::size_t k = 0; k < product.depth; ++k) {
      sum += static_cast<std::int64_t>(product.values[i / product.columns * product.depth + k]) *
             static_cast<std::int64_t>(product.weights[i % product.columns * product.depth + k]);
    }
    exact = exact && found[i] == static_cast<float>(sum);
  }
  return exact;
}

TEST(sums_of_codes_are_exact) {
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      const Arithmetic arithmetic = arithmetic_at(level, precision);
      for (const int low : {0, -128, -255, -7}) {
        // 384 * 255 * 127 is below 2^24, so that float32 is exact as well.
        CHECK(sums_are_exact(whole_numbers(384, low, false), arithmetic));
        CHECK(sums_are_exact(whole_numbers(384, low, true), arithmetic));
        if (arithmetic.is_native && precision == Precision::kInt8) {
          CHECK(sums_are_exact(whole_numbers(1536, low, true), arithmetic));
        }
      }
      if (arithmetic.is_native && precision == Precision::kInt8) {
        CHECK(sums_are_exact(whole_numbers(65536, 0, true), arithmetic));  // just below 2^31
        CHECK(sums_are_exact(whole_numbers(65536, -255, true), arithmetic));
      }
    }
  }
}

TEST(a_row_depends_on_itself_alone) {
  constexpr std::size_t kRows = 17;
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      const Arithmetic arithmetic = arithmetic_at(level, precision);
      for (const Finish finish : kFinishes) {
        const Product all(kRows, 96, 64);
        const std::vector<float> expected = run(all, arithmetic, finish);
        for (std::size_t count = 1; count < kRows; count += 3) {
          for (std::size_t first = 0; first + count <= kRows; first += 4) {
            Product part = all;
            part.rows = count;
            part.values.assign(
                all.values.begin() + static_cast<std::ptrdiff_t>(first * 96),
                all.values.begin() + static_cast<std::ptrdiff_t>((first + count) * 96));
            part.before.assign(
                all.before.begin() + static_cast<std::ptrdiff_t>(first * 64),
                all.before.begin() + static_cast<std::ptrdiff_t>((first + count) * 64));
            const std::vector<float> found = run(part, arithmetic, finish);
            CHECK(same_bytes(found.data(), expected.data() + first * 64, count * 64));
          }
        }
      }
    }
  }
}

// --- Preparing -----------------------------------------------------------------------------------

/// Rows of depth 48: random, all positive, all negative, zeros, tiny, one huge value, one value.
std::vector<std::vector<float>> hard_rows() {
  constexpr std::size_t kDepth = 48;
  std::vector<std::vector<float>> rows(8, random_values(kDepth, 8));
  for (std::size_t k = 0; k < kDepth; ++k) {
    rows[1][k] = std::abs(rows[1][k]) + 1.0F;
    rows[2][k] = -std::abs(rows[2][k]) - 1.0F;
    rows[3][k] = 0.0F;
    rows[4][k] *= 1e-20F;
    rows[6][k] = k == 5 ? -3.0F : 0.0F;
    rows[7][k] *= 1e-41F;  // below what codes can scale
  }
  rows[5][17] = 1e30F;
  return rows;
}

/// Codes: scale = range / 255 of the range that 0 belongs to; each is within half a step of its
/// value, but for the rounding of two float32 operations on numbers up to 255.
bool codes_are_right(const std::vector<float>& row, const Arithmetic& arithmetic) {
  const double low = std::min(0.0F, *std::min_element(row.begin(), row.end()));
  const double high = std::max(0.0F, *std::max_element(row.begin(), row.end()));
  const double step = (high - low) / 255.0;
  const double slack = 0.5 + 255 * 8 * kUnit;
  const Prepared found = prepare(row, 1, row.size(), arithmetic);
  bool right = true;
  for (std::size_t k = 0; k < row.size(); ++k) {
    // The zero is rounded as well, so that an end of the range may fall off by half a step.
    const double most = (row[k] == low || row[k] == high ? 1.0 : slack) * step + 1e-35;
    right = right && std::abs(found.values[k] - row[k]) <= most;
    right = right && (row[k] != 0.0F || found.values[k] == 0.0);
    if (!found.codes.empty()) {
      right = right && found.codes[k] >= 0.0 && found.codes[k] <= 255.0;
      right = right && found.zeros[k] >= 0.0 && found.zeros[k] <= 255.0;
      right = right && (high - low < 1e-35 || std::abs(found.scales[k] / step - 1.0) <= 4 * kUnit);
    }
  }
  return right;
}

TEST(codes_are_the_nearest) {
  for (const simd::Level level : simd::available_levels()) {
    for (const auto& row : hard_rows()) {
      CHECK(codes_are_right(row, arithmetic_at(level, Precision::kInt8)));
    }
  }
}

TEST(int8_played_in_float32_has_the_same_codes) {
  constexpr std::size_t kRows = 64;
  constexpr std::size_t kDepth = 384;
  const auto values = random_values(kRows * kDepth, 9);
  const simd::ProductKernels none{};
  for (const simd::Level level : simd::available_levels()) {
    const Arithmetic native = arithmetic_at(level, Precision::kInt8);
    if (!native.is_native) {
      continue;
    }
    simd::EncoderKernels kernels = simd::encoder_kernels(level);
    kernels.int8 = none;
    const Arithmetic played = choose_arithmetic(Precision::kInt8, kernels);
    CHECK(!played.is_native);
    const Prepared codes = prepare(values, kRows, kDepth, native);
    const Prepared floats = prepare(values, kRows, kDepth, played);
    std::size_t apart = 0;
    bool near = true;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double steps = (codes.values[i] - floats.values[i]) / codes.scales[i];
      // A unit may multiply and add with one rounding, which tells only next to ties: there the
      // codes are one apart.
      const double place = values[i] / codes.scales[i] + codes.zeros[i];
      const bool at_tie = std::abs(place - std::floor(place) - 0.5) < 255 * 4 * kUnit;
      near = near && std::abs(steps) <= (at_tie ? 1.0001 : 0.0001);
      apart += std::abs(steps) > 0.5;
    }
    CHECK(near);
    CHECK(apart <= values.size() / 1000);
  }
}

TEST(weights_have_the_nearest_codes) {
  namespace encoder = ds2fast::encoder;
  for (const auto& row : hard_rows()) {
    const float scale = encoder::code_scale(row.data(), row.size());
    double largest = 0.0;
    for (const float value : row) {
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    CHECK(largest < 1e-35 ? scale == 1.0F : std::abs(scale * 127.0 / largest - 1.0) <= 2 * kUnit);
    for (const float value : row) {
      const int code = encoder::code_of(value, scale);
      CHECK(std::abs(code - static_cast<double>(value) / static_cast<double>(scale)) <=
            0.5 + 127 * 2 * kUnit);
    }
  }
  const float ties[] = {127.0F, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -127.0F, 126.5F};
  const int expected[] = {127, 0, 2, 2, 0, -2, -127, 126};
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(encoder::code_of(ties[i], encoder::code_scale(ties, 8)) == expected[i]);
  }
}

TEST(bf16_rounds_to_nearest_even) {
  // 1 + 2^-8 lies between 1 and 1 + 2^-7: even is 1; 1 + 3 * 2^-8: even is 1 + 2^-6.
  std::vector<float> values{1.0F + 0x1p-8F, 1.0F + 0x1.8p-7F, 1.0F + 0x1.002p-8F, -1.0F - 0x1p-8F,
                            0.0F,           0x1.fffffep127F,  0x1.fefffep127F,    -0x1p-126F};
  const std::vector<double> expected{1.0, 1.0 + 0x1p-6, 1.0 + 0x1p-7, -1.0,
                                     0.0, INFINITY,     0x1.fep127,   -0x1p-126};
  const auto more = random_values(40, 12);
  values.insert(values.end(), more.begin(), more.end());
  for (const simd::Level level : simd::available_levels()) {
    const Prepared found = prepare(values, 1, 48, arithmetic_at(level, Precision::kBf16));
    for (std::size_t k = 0; k < values.size(); ++k) {
      CHECK(found.values[k] == (k < 8 ? expected[k] : nearest_bf16(values[k])));
      CHECK(ds2fast::encoder::round_to_bf16(values[k]) == static_cast<float>(found.values[k]));
    }
  }
  CHECK(std::isnan(ds2fast::encoder::round_to_bf16(NAN)));
  float all_ones;
  const std::uint32_t bits = 0x7FFFFFFF;
  std::memcpy(&all_ones, &bits, sizeof bits);
  CHECK(std::isnan(ds2fast::encoder::round_to_bf16(all_ones)));
}

/// Layer norms make a whole row NaN or infinite where anything in it is: so are its products.
TEST(rows_that_are_not_finite_stay_visible) {
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      for (const float value : {static_cast<float>(NAN), std::numeric_limits<float>::infinity()}) {
        Product product(3, 32, 16);
        std::fill_n(product.values.begin() + 32, 32, value);
        const auto found = run(product, arithmetic_at(level, precision), Finish::kStore);
        CHECK(std::all_of(found.begin(), found.begin() + 16, is_finite));
        CHECK(std::all_of(found.begin() + 32, found.end(), is_finite));
        CHECK(std::none_of(found.begin() + 16, found.begin() + 32, is_finite));
      }
    }
  }
}

TEST(weights_that_are_not_finite_stay_visible) {
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      for (const float value : {static_cast<float>(NAN), std::numeric_limits<float>::infinity()}) {
        Product product(3, 32, 16);
        product.weights[5 * 32 + 7] = value;
        const auto found = run(product, arithmetic_at(level, precision), Finish::kStore);
        bool right = true;
        for (std::size_t i = 0; i < found.size(); ++i) {
          right = right && is_finite(found[i]) == (i % 16 != 5);
        }
        CHECK(right);
      }
    }
  }
}

// --- Attention -----------------------------------------------------------------------------------

/// One head of a text; everything behind it is NaN.
struct Text {
  std::size_t length;
  std::size_t depth;
  std::size_t stride;
  std::vector<float> projections;  ///< query, key and value of a token side by side
  std::vector<float> distances;    ///< that of 0 at [length - 1]; empty where there are none
  float scale;

  Text(std::size_t num_tokens, std::size_t num_values, bool has_distances)
      : length(num_tokens),
        depth(num_values),
        stride(3 * num_values + 16),
        projections(random_values((length + kBlockRows) * stride, 21)),
        scale(1.5F / std::sqrt(static_cast<float>(num_values))) {
    std::fill(projections.begin() + static_cast<std::ptrdiff_t>(length * stride), projections.end(),
              NAN);
    if (has_distances) {
      distances = random_values(2 * length - 1, 22);
      distances.resize(distances.size() + simd::kPanelColumns, NAN);
    }
  }

  const float* query(std::size_t i) const { return projections.data() + i * stride; }
  const float* key(std::size_t j) const { return query(j) + depth; }
  const float* value(std::size_t j) const { return query(j) + 2 * depth; }

  std::vector<float> attend(simd::Level level) const {
    const std::size_t size = simd::attention_room(length, depth);
    auto room = AlignedArray<float>::unset(size);
    std::fill(room.data(), room.data() + size, NAN);  // as a text before may leave it
    std::vector<float> output((length + kBlockRows) * (depth + 16), 7.0F);
    const float* origin = distances.empty() ? nullptr : distances.data() + length - 1;
    simd::encoder_kernels(level).attend(
        {query(0), key(0), value(0), origin, length, stride, depth, scale}, room.data(),
        output.data(), depth + 16);
    return output;
  }
};

/// Scores of a query in double, and how far float32 may be from them: a chain of `depth`, the
/// scale, the distance.
struct Scores {
  std::vector<double> exact;
  double error = 0.0;

  Scores(const Text& text, std::size_t i) {
    for (std::size_t j = 0; j < text.length; ++j) {
      double dot = 0.0;
      double magnitude = 0.0;
      for (std::size_t d = 0; d < text.depth; ++d) {
        const double term = static_cast<double>(text.query(i)[d]) * text.key(j)[d];
        dot += term;
        magnitude += std::abs(term);
      }
      double score = dot * static_cast<double>(text.scale);
      double sum =
          static_cast<double>(text.depth + 2) * magnitude * static_cast<double>(text.scale);
      if (!text.distances.empty()) {
        const double distance = text.distances[text.length - 1 + j - i];
        score += distance;
        sum += std::abs(distance);
      }
      exact.push_back(score);
      error = std::max(error, 1.01 * kUnit * sum);
    }
  }
};

bool attention_is_right(const Text& text, simd::Level level) {
  const std::vector<float> found = text.attend(level);
  bool right = true;
  for (std::size_t i = 0; i < text.length; ++i) {
    const Scores scores(text, i);
    const double largest = *std::max_element(scores.exact.begin(), scores.exact.end());
    double total = 0.0;
    for (const double score : scores.exact) {
      total += std::exp(score - largest);
    }
    // Of a share: both its exponential and their sum err by the score's error twice (the largest
    // is one too) and the exponential's 3e-7; sum, inverse, product and the chain over the keys
    // round.
    const double relative =
        2.0 * (2.0 * scores.error + 3e-7) + (2.0 * static_cast<double>(text.length) + 8.0) * kUnit;
    for (std::size_t d = 0; d < text.depth + 16; ++d) {
      double exact = d < text.depth ? 0.0 : 7.0;  // behind the row nothing is written
      double magnitude = 0.0;
      for (std::size_t j = 0; j < text.length && d < text.depth; ++j) {
        const double term = std::exp(scores.exact[j] - largest) / total * text.value(j)[d];
        exact += term;
        magnitude += std::abs(term);
      }
      const double off = std::abs(found[i * (text.depth + 16) + d] - exact);
      right = right && off <= relative * 1.01 * magnitude;
    }
  }
  const auto rest = found.begin() + static_cast<std::ptrdiff_t>(text.length * (text.depth + 16));
  return right && std::all_of(rest, found.end(), [](float value) { return value == 7.0F; });
}

TEST(attention_stays_within_its_bound) {
  for (const simd::Level level : simd::available_levels()) {
    for (const std::size_t length : {1U, 2U, 7U, 8U, 47U, 48U, 49U, 97U}) {
      for (const std::size_t depth : {16U, 32U, 48U, 64U}) {
        CHECK(attention_is_right({length, depth, false}, level));
        CHECK(attention_is_right({length, depth, true}, level));
      }
    }
  }
}

TEST(attention_holds_scores_that_are_far_apart) {
  for (const simd::Level level : simd::available_levels()) {
    for (const float scale : {100.0F, -100.0F, 1e4F}) {
      Text text(50, 16, false);
      text.scale = scale;  // all but one share vanish; none of them is NaN
      for (std::size_t j = 0; j < text.length; ++j) {
        // Small whole numbers: the scores are exact, so that all errors are those of the shares.
        for (std::size_t d = 0; d < 2 * text.depth; ++d) {
          float& value = text.projections[j * text.stride + d];
          value = std::nearbyint(value);
        }
      }
      const std::vector<float> found = text.attend(level);
      CHECK(std::all_of(found.begin(), found.end(), is_finite));
      CHECK(attention_is_right(text, level));
    }
  }
}

// --- Layer norm ----------------------------------------------------------------------------------

/// In units of u = 2^-24: the mean errs by width * mean |x|, its root of the mean square by
/// (width + 8) / 2 of itself; then four roundings.
bool norms_are_right(std::size_t width, float centre, simd::Level level) {
  constexpr std::size_t kRows = 5;
  constexpr float kEpsilon = 1e-5F;
  const std::size_t stride = round_up_to(width, simd::kWidthStep) + 16;
  auto rows = random_values(kRows * stride, 31);
  std::transform(rows.begin(), rows.end(), rows.begin(), [=](float x) { return x + centre; });
  const auto scale = random_values(width, 32);
  const auto shift = random_values(width, 33);
  auto found = rows;
  simd::encoder_kernels(level).layer_norm(found.data(), kRows, width, stride, scale.data(),
                                          shift.data(), kEpsilon);
  bool right = true;
  for (std::size_t r = 0; r < kRows; ++r) {
    const float* row = rows.data() + r * stride;
    const auto count = static_cast<double>(width);
    const double mean = std::accumulate(row, row + width, 0.0) / count;
    double size = 0.0;
    double square = 0.0;
    for (std::size_t k = 0; k < width; ++k) {
      size += std::abs(row[k]) / count;
      square += (row[k] - mean) * (row[k] - mean) / count;
    }
    const double deviation = std::sqrt(square + static_cast<double>(kEpsilon));
    for (std::size_t k = 0; k < width; ++k) {
      const double normal = (row[k] - mean) / deviation;
      const double exact = normal * scale[k] + shift[k];
      // An error of the mean moves the mean square in second order only.
      const double moved = (count + 2.0) * size / deviation;
      const double bound = std::abs(scale[k]) * (moved + std::abs(normal) * (count + 8.0)) +
                           std::abs(scale[k] * normal) * moved * moved * kUnit +
                           2.0 * std::abs(exact) + std::abs(shift[k]);
      right = right && std::abs(found[r * stride + k] - exact) <= 1.01 * kUnit * bound;
    }
    right = right && same_bytes(found.data() + r * stride + width, row + width, stride - width);
  }
  return right;
}

TEST(layer_norm_stays_within_its_bound) {
  for (const simd::Level level : simd::available_levels()) {
    for (const std::size_t width : {2U, 5U, 16U, 17U, 26U, 40U, 312U, 384U, 1023U}) {
      CHECK(norms_are_right(width, 0.0F, level));
      CHECK(norms_are_right(width, 50.0F, level));
    }
  }
}

TEST(layer_norm_of_equal_values_is_the_shift) {
  for (const simd::Level level : simd::available_levels()) {
    std::vector<float> row(32, 3.0F);
    const auto scale = random_values(32, 34);
    const auto shift = random_values(32, 35);
    simd::encoder_kernels(level).layer_norm(row.data(), 1, 32, 32, scale.data(), shift.data(),
                                            1e-12F);
    CHECK(same_bytes(row, shift));
  }
}

// --- Elementary functions ------------------------------------------------------------------------

TEST(exponential_has_its_relative_error) {
  double worst = 0.0;
  for (std::uint32_t i = 0; i <= 87U << 14U; ++i) {
    const float x = -static_cast<float>(i) * 0x1p-14F;
    worst = std::max(worst, std::abs(simd::exp_of(simd::all(x))[0] / std::exp(double{x}) - 1.0));
  }
  std::printf("exp: relative error at most %.3g\n", worst);
  CHECK(worst <= 3e-7);
  CHECK(simd::exp_of(simd::all(0.0F))[0] == 1.0F);
  for (const float x : {-88.0F, -1e30F, -std::numeric_limits<float>::infinity()}) {
    CHECK(simd::exp_of(simd::all(x))[0] == simd::exp_of(simd::all(-87.0F))[0]);
  }
}

TEST(gelu_has_its_absolute_error) {
  double worst = 0.0;
  double worst_tanh = 0.0;
  for (std::int32_t i = -(20 << 15); i <= 20 << 15; ++i) {
    const float x = static_cast<float>(i) * 0x1p-15F;
    if (i != 0) {
      worst = std::max(worst, std::abs(simd::gelu(simd::all(x))[0] / double{x} - phi(x)));
      worst_tanh = std::max(worst_tanh, std::abs(simd::gelu_tanh(simd::all(x))[0] - gelu_tanh(x)) /
                                            std::abs(double{x}));
    }
  }
  std::printf("gelu: |error / x| at most %.3g; with tanh: %.3g\n", worst, worst_tanh);
  CHECK(worst <= 3e-7);
  CHECK(worst_tanh <= 2e-7);
  CHECK(simd::gelu(simd::all(0.0F))[0] == 0.0F && simd::gelu_tanh(simd::all(0.0F))[0] == 0.0F);
}

/// Each unit's own copies, through a layer of one input: its products are the inputs themselves.
TEST(units_have_the_same_functions) {
  constexpr std::size_t kRows = 4001;
  Product product(kRows, 16, 16);
  std::fill(product.biases.begin(), product.biases.end(), 0.0F);
  std::fill(product.weights.begin(), product.weights.end(), 0.0F);
  std::fill(product.values.begin(), product.values.end(), 0.0F);
  for (std::size_t r = 0; r < kRows; ++r) {
    product.values[r * 16] = (static_cast<float>(r) - 2000.0F) * 0x1p-7F;
  }
  for (std::size_t c = 0; c < 16; ++c) {
    product.weights[c * 16] = 1.0F + static_cast<float>(c) * 0x1p-4F;
  }
  for (const simd::Level level : simd::available_levels()) {
    for (const Finish finish : {Finish::kGelu, Finish::kGeluTanh}) {
      const auto found = run(product, arithmetic_at(level, Precision::kFp32), finish);
      double worst = 0.0;
      for (std::size_t i = 0; i < found.size(); ++i) {
        const double x = static_cast<double>(product.values[i / 16 * 16]) *
                         static_cast<double>(product.weights[i % 16 * 16]);
        const double size = std::max(std::abs(x), 1e-30);
        worst = std::max(worst, std::abs(found[i] - finished(finish, x, 0.0)) / size);
      }
      CHECK(worst <= 3e-7);
    }
    for (std::size_t i = 0; i <= 4000; ++i) {
      // Two keys, scores 0 and x: the second's share is e^x / (1 + e^x). Beside the exponential's
      // 3e-7, also part of the sum, there are the roundings of sum, inverse and product.
      Text text(2, 16, false);
      std::fill(text.projections.begin(), text.projections.end(), 0.0F);
      const float x = -0.02F * static_cast<float>(i);
      text.scale = 1.0F;
      text.projections[0] = 1.0F;
      text.projections[text.stride + text.depth] = x;
      text.projections[text.stride + 2 * text.depth] = 1.0F;
      const double power = std::exp(double{x});
      CHECK(std::abs(text.attend(level)[0] * (1.0 + power) / power - 1.0) <= 4.5e-7 + 4 * kUnit);
    }
  }
}

// --- The encoder ---------------------------------------------------------------------------------

using ds2fast::SilentMonitor;
using ds2fast::encoder::EncoderSettings;
using ds2fast::encoder::LinearView;
using ds2fast::encoder::NormView;
using ds2fast::encoder::Pooling;
using ds2fast::encoder::TextEncoder;

/// An encoder whose heads, hidden and inner sizes all need padding: 2 heads of 20, 72 between.
struct SmallModel {
  static constexpr std::size_t kHidden = 40;
  static constexpr std::size_t kInner = 72;
  static constexpr std::size_t kWords = 30;
  static constexpr std::size_t kPositions = 300;

  std::vector<float> words = random_values(kWords * kHidden, 41);
  std::vector<float> positions = random_values(kPositions * kHidden, 42);
  std::vector<float> token_type = random_values(kHidden, 43);
  std::vector<float> matrix = random_values(kInner * kHidden, 44);
  std::vector<float> bias = random_values(kInner, 45);
  std::vector<float> scale = random_values(kHidden, 46);
  std::vector<float> shift = random_values(kHidden, 47);
  std::vector<float> distances = random_values(2 * (2 * kPositions - 1), 48);

  SmallModel() {
    for (float& weight : matrix) {
      weight *= 0.15F;
    }
    for (float& value : scale) {
      value = 1.0F + 0.2F * value;
    }
  }

  TextEncoder build(Precision precision, simd::Level level, Pooling pooling,
                    bool has_distances) const {
    const std::size_t rows = has_distances ? 2 : 0;
    TextEncoder encoder({kHidden, 2, kInner, 1e-12F, Finish::kGelu, pooling},
                        {{words.data(), kWords, kHidden},
                         {positions.data(), kPositions, kHidden},
                         {token_type.data(), kHidden},
                         {{scale.data(), kHidden}, {shift.data(), kHidden}},
                         {distances.data(), rows, 2 * kPositions - 1}},
                        precision, level);
    add_layers(encoder, 2);
    return encoder;
  }

  void add_layers(TextEncoder& encoder, int count) const {
    const NormView norm{{scale.data(), kHidden}, {shift.data(), kHidden}};
    const LinearView square{{matrix.data(), kHidden, kHidden}, {bias.data(), kHidden}};
    const LinearView inner{{matrix.data(), kInner, kHidden}, {bias.data(), kInner}};
    const LinearView outer{{matrix.data(), kHidden, kInner}, {bias.data(), kHidden}};
    for (int layer = 0; layer < count; ++layer) {
      encoder.add_layer({square, square, square, square, norm, inner, outer, norm});
    }
  }
};

using Texts = std::vector<std::vector<std::int32_t>>;

Texts some_texts() {
  std::mt19937 generator(51);
  Texts texts;
  for (const std::size_t length : {1U, 300U, 2U, 48U, 7U, 255U, 8U, 257U, 49U, 256U, 1U, 90U}) {
    texts.emplace_back(length);
    for (std::int32_t& id : texts.back()) {
      id = static_cast<std::int32_t>(generator() % SmallModel::kWords);
    }
  }
  return texts;
}

std::vector<float> encode(const TextEncoder& encoder, const Texts& texts, std::size_t threads) {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets{0};
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  std::vector<float> vectors(texts.size() * SmallModel::kHidden, 7.0F);
  SilentMonitor monitor;
  encoder.encode({{ids.data(), ids.size()}, {offsets.data(), offsets.size()}}, threads, monitor,
                 {vectors.data(), texts.size(), SmallModel::kHidden});
  return vectors;
}

TEST(vectors_do_not_depend_on_threads_order_or_company) {
  const SmallModel model;
  const Texts texts = some_texts();
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      const TextEncoder encoder = model.build(precision, level, Pooling::kMean, true);
      const std::vector<float> expected = encode(encoder, texts, 1);
      CHECK(same_bytes(encode(encoder, texts, 2), expected));
      CHECK(same_bytes(encode(encoder, texts, 7), expected));
      Texts backwards(texts.rbegin(), texts.rend());
      const std::vector<float> turned = encode(encoder, backwards, 2);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const float* vector = expected.data() + i * SmallModel::kHidden;
        const std::vector<float> alone = encode(encoder, {texts[i]}, 1);
        CHECK(same_bytes(alone.data(), vector, SmallModel::kHidden));
        CHECK(same_bytes(turned.data() + (texts.size() - 1 - i) * SmallModel::kHidden, vector,
                         SmallModel::kHidden));
      }
    }
  }
}

double cosine(const float* x, const float* y) {
  return std::inner_product(x, x + SmallModel::kHidden, y, 0.0);
}

TEST(levels_agree) {
  const SmallModel model;
  const Texts texts = some_texts();
  for (const Pooling pooling : {Pooling::kMean, Pooling::kCls}) {
    for (const bool has_distances : {false, true}) {
      const auto expected = encode(
          model.build(Precision::kFp32, simd::Level::kBaseline, pooling, has_distances), texts, 1);
      for (const simd::Level level : simd::available_levels()) {
        // float32 differs by the order of its sums alone. A bfloat16 errs by 2^-9 of itself at
        // most, a code by some 1/500 of its row's range: the angle between the vectors by a few of
        // these.
        const double bounds[] = {1.0 - 1e-6, 0.9999, 0.995};
        for (std::size_t p = 0; p < 3; ++p) {
          const auto found =
              encode(model.build(kPrecisions[p], level, pooling, has_distances), texts, 2);
          for (std::size_t i = 0; i < found.size(); i += SmallModel::kHidden) {
            CHECK(cosine(found.data() + i, expected.data() + i) >= bounds[p]);
            CHECK(std::abs(cosine(found.data() + i, found.data() + i) - 1.0) <= 1e-6);
          }
        }
      }
    }
  }
}

TEST(a_word_that_is_not_finite_makes_its_texts_vector_not_finite) {
  SmallModel model;
  model.words[7 * SmallModel::kHidden + 3] = NAN;
  const Texts texts{{1, 2, 3}, {4, 5, 7, 2}, {7}, {1, 2}};
  for (const simd::Level level : simd::available_levels()) {
    for (const Precision precision : kPrecisions) {
      for (const Pooling pooling : {Pooling::kMean, Pooling::kCls}) {
        const auto found = encode(model.build(precision, level, pooling, false), texts, 1);
        bool right = true;
        for (std::size_t i = 0; i < found.size(); ++i) {
          const std::size_t text = i / SmallModel::kHidden;
          right = right && is_finite(found[i]) == (text == 0 || text == 3);
        }
        CHECK(right);
      }
    }
  }
}

TEST(no_text_is_no_row) {
  const SmallModel model;
  const auto encoder = model.build(Precision::kFp32, simd::Level::kBaseline, Pooling::kMean, false);
  CHECK(encode(encoder, {}, 3).empty());
}

class Impatient final : public ds2fast::Monitor {
 public:
  void poll(std::size_t /*done*/, std::size_t /*total*/) override {
    throw std::runtime_error("stop");
  }
};

TEST(a_monitor_that_throws_ends_the_encoding) {
  const SmallModel model;
  const auto encoder = model.build(Precision::kFp32, simd::Level::kBaseline, Pooling::kMean, false);
  const std::int32_t ids[] = {1, 2, 3};
  const std::int64_t offsets[] = {0, 1, 3};
  float vectors[2 * SmallModel::kHidden];
  for (const std::size_t threads : {1U, 3U}) {
    Impatient monitor;
    CHECK_THROWS(encoder.encode({{ids, 3}, {offsets, 3}}, threads, monitor,
                                {vectors, 2, SmallModel::kHidden}),
                 std::runtime_error);
  }
}

/// What this process has worked, on all threads: the same however busy the machine is.
double seconds_worked() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

/// Seconds of work from the start to the error of a monitor that throws when it is first polled.
double seconds_until_it_ends(const TextEncoder& encoder, std::size_t num_texts,
                             std::size_t threads) {
  const std::vector<std::int32_t> ids(num_texts * SmallModel::kPositions, 3);
  std::vector<std::int64_t> offsets(num_texts + 1);
  for (std::size_t text = 0; text <= num_texts; ++text) {
    offsets[text] = static_cast<std::int64_t>(text * SmallModel::kPositions);
  }
  std::vector<float> vectors(num_texts * SmallModel::kHidden);
  Impatient monitor;
  const double started = seconds_worked();
  CHECK_THROWS(encoder.encode({{ids.data(), ids.size()}, {offsets.data(), offsets.size()}}, threads,
                              monitor, {vectors.data(), num_texts, SmallModel::kHidden}),
               std::runtime_error);
  return seconds_worked() - started;
}

TEST(a_text_that_takes_long_is_left_between_its_layers) {
  const SmallModel model;
  TextEncoder encoder = model.build(Precision::kFp32, simd::Level::kBaseline, Pooling::kMean, true);
  const std::vector<std::int32_t> text(SmallModel::kPositions, 3);
  double whole = 0.0;
  while (whole < 1.0) {  // layers until a text takes a second
    model.add_layers(encoder, 200);
    const double started = seconds_worked();
    encode(encoder, {text}, 1);
    whole = seconds_worked() - started;
  }
  // The first poll comes after 50 ms; helpers end soon after, in the middle of texts of their own.
  CHECK(seconds_until_it_ends(encoder, 1, 1) < 0.5 * whole);
  CHECK(seconds_until_it_ends(encoder, 3, 3) < 0.5 * whole);
}

}  // namespace
