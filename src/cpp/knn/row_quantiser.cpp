#include "knn/row_quantiser.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/parallel_for.hpp"
#include "core/round_up.hpp"

namespace ds2fast::knn {
namespace {

constexpr std::size_t kChunk = 64 * simd::kPanelRows;
constexpr std::size_t kLanes = 16;  // sums that run side by side, so that they can be vectors

// x' is rounded to float32 (2^-24 |x|), its mean subtracted (2^-24 |x'|), the code times the scale
// subtracted again (2^-24 (|x^| + |x' - x^|)): norms of 1, 2, 4 and 2, together less than 2^-20.
constexpr double kResidualRounding = 0x1p-20;

/// Mean of the unit rows, summed in chunks of fixed size in their order, rounded to float32.
std::vector<float> mean_row(const RowSource& rows, VectorView<const double> norms,
                            VectorView<const std::int32_t> order, std::size_t num_threads,
                            Monitor& monitor) {
  const std::size_t depth = rows.depth();
  const std::size_t num_chunks = (order.size + kChunk - 1) / kChunk;
  std::vector<double> sums(num_chunks * depth);
  parallel_chunks(order.size, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    std::vector<float> buffer(depth);
                    double* sum = sums.data() + begin / kChunk * depth;
                    for (std::size_t place = begin; place < end; ++place) {
                      const auto n = static_cast<std::size_t>(order[place]);
                      const float* row = rows.read(n, buffer.data());
                      const double inverse = 1.0 / norms[n];
                      for (std::size_t k = 0; k < depth; ++k) {
                        sum[k] += static_cast<double>(row[k]) * inverse;
                      }
                    }
                  });
  std::vector<float> mean(depth);
  for (std::size_t k = 0; k < depth; ++k) {
    double sum = 0.0;
    for (std::size_t chunk = 0; chunk < num_chunks; ++chunk) {
      sum += sums[chunk * depth + k];
    }
    mean[k] = static_cast<float>(sum / static_cast<double>(order.size));
  }
  return mean;
}

/// What the codes of a row leave.
struct Code {
  std::int32_t sum = 0;
  float scale = 0.0F;
  double norm = 0.0;      ///< |x^|
  double residual = 0.0;  ///< at least e_x
};

float largest_magnitude(const std::vector<float>& values) {
  float lanes[kLanes] = {};
  for (std::size_t k = 0; k < values.size(); k += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float magnitude = std::abs(values[k + lane]);
      lanes[lane] = magnitude > lanes[lane] ? magnitude : lanes[lane];
    }
  }
  return *std::max_element(lanes, lanes + kLanes);
}

/// `centred` is x' and zeros up to a multiple of kLanes, as many codes come out.
Code quantise(const std::vector<float>& centred, float largest_code, std::int8_t* codes) {
  // Adding this rounds to the nearest integer: one unit of its last place is 1.
  constexpr float kRoundingShift = 0x1.8p23F;
  const float largest = largest_magnitude(centred);
  Code code;
  code.scale = largest / largest_code;
  // Rows nearer to the mean than this are all residual: their inverse would overflow.
  const float inverse = largest > 1e-30F ? 1.0F / code.scale : 0.0F;
  std::int32_t sums[kLanes] = {};
  std::int32_t squares[kLanes] = {};
  float residual_squares[kLanes] = {};
  for (std::size_t k = 0; k < centred.size(); k += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = centred[k + lane];
      const float rounded = (value * inverse + kRoundingShift) - kRoundingShift;
      const auto whole = static_cast<std::int32_t>(rounded);
      codes[k + lane] = static_cast<std::int8_t>(whole);
      sums[lane] += whole;
      squares[lane] += whole * whole;
      const float rest = value - code.scale * rounded;
      residual_squares[lane] += rest * rest;
    }
  }
  double norm_square = 0.0;
  double residual_square = 0.0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    code.sum += sums[lane];
    norm_square += squares[lane];
    residual_square += static_cast<double>(residual_squares[lane]);
  }
  // A lane's float32 sum of n squares is within (n + 1) 2^-24 of them, and what underflows is far
  // below the rounding added.
  const double sum_error = static_cast<double>(centred.size() / kLanes + 4) * 0x1p-24;
  code.norm = static_cast<double>(code.scale) * std::sqrt(norm_square);
  code.residual = std::sqrt(residual_square) * (1.0 + sum_error) + kResidualRounding;
  return code;
}

/// Room for what float32 rounds between a product of codes and a bound, half of it for each of the
/// two rows. The product of x^ and y^ is at most C^2, each offset at most the largest |b| + slack,
/// so no number on the way exceeds C^2 + 2 (|b| + C e), which slacks of rounding hardly add to (the
/// 1). Two scales and two offsets stored, their product and sum, the conversion, the
/// multiplication, two sums of slacks and offsets, the bound itself: fewer than 16 roundings of
/// 2^-24 of that.
double bound_rounding(double factor, const std::vector<double>& residuals,
                      const std::vector<double>& biases) {
  double largest_offset = 0.0;
  for (std::size_t place = 0; place < residuals.size(); ++place) {
    largest_offset = std::max(largest_offset, std::abs(biases[place]) + factor * residuals[place]);
  }
  return 0.5 * 16.0 * 0x1p-24 * (1.0 + factor * factor + 2.0 * largest_offset);
}

}  // namespace

float round_up(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

CodeErrors quantise_rows(const RowSource& rows, VectorView<const double> norms,
                         VectorView<const std::int32_t> order, std::int32_t largest,
                         std::size_t num_threads, Monitor& monitor,
                         const std::function<void(std::size_t place, const RowCode& code)>& keep) {
  const simd::KernelTable& kernels = rows.kernels();
  const std::vector<float> mean = mean_row(rows, norms, order, num_threads, monitor);
  const double mean_square = kernels.exact_dot(mean.data(), mean.data(), mean.size());
  CodeErrors errors{std::vector<double>(order.size), std::vector<double>(order.size)};
  std::vector<double>& residuals = errors.slacks;  // until the factor is known
  std::vector<double> largest_norms(num_threads);
  parallel_chunks(
      order.size, kChunk, num_threads, monitor,
      [&](std::size_t begin, std::size_t end, std::size_t worker) {
        std::vector<float> buffer(rows.depth());
        std::vector<float> centred(round_up_to(rows.depth(), kLanes));
        std::vector<std::int8_t> codes(centred.size());
        for (std::size_t place = begin; place < end; ++place) {
          const auto n = static_cast<std::size_t>(order[place]);
          const float* row = rows.read(n, buffer.data());
          const double inverse = 1.0 / norms[n];
          for (std::size_t k = 0; k < rows.depth(); ++k) {
            centred[k] = static_cast<float>(static_cast<double>(row[k]) * inverse) - mean[k];
          }
          const Code code = quantise(centred, static_cast<float>(largest), codes.data());
          keep(place, {codes.data(), code.sum, code.scale});
          residuals[place] = code.residual;
          errors.biases[place] =
              kernels.exact_dot(mean.data(), row, rows.depth()) * inverse - 0.5 * mean_square;
          largest_norms[worker] = std::max(largest_norms[worker], code.norm + 0.5 * code.residual);
        }
      });
  // 1e-9 covers what float64 rounds in the norms and sums above.
  const double factor =
      *std::max_element(largest_norms.begin(), largest_norms.end()) * (1.0 + 1e-9);
  const double rounding = bound_rounding(factor, residuals, errors.biases);
  for (double& slack : errors.slacks) {
    slack = factor * slack * (1.0 + 1e-9) + rounding;
  }
  return errors;
}

}  // namespace ds2fast::knn
