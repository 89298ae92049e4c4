#include "knn/quantised_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/parallel_for.hpp"

namespace ds2fast::knn {
namespace {

constexpr double kLargestCode = 127.0;
constexpr std::size_t kChunk = 4096;

// Conversion of the product, product of scales, sum of offsets, multiply-add: each rounds a number
// of at most 4 by 2^-24 of it, the stored scales and offsets too. 2^-19 is more than twice their
// sum.
constexpr double kRounding = 0x1p-19;

float round_up(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

/// Mean of the unit rows, summed in chunks of fixed size in their order, rounded to float32.
std::vector<float> mean_row(MatrixView<const float> rows, VectorView<const double> norms,
                            std::size_t num_threads, Monitor& monitor) {
  const std::size_t num_chunks = (rows.rows + kChunk - 1) / kChunk;
  std::vector<double> sums(num_chunks * rows.cols);
  parallel_chunks(rows.rows, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    double* sum = sums.data() + begin / kChunk * rows.cols;
                    for (std::size_t n = begin; n < end; ++n) {
                      const double inverse = 1.0 / norms[n];
                      for (std::size_t k = 0; k < rows.cols; ++k) {
                        sum[k] += static_cast<double>(rows.row(n)[k]) * inverse;
                      }
                    }
                  });
  std::vector<float> mean(rows.cols);
  for (std::size_t k = 0; k < rows.cols; ++k) {
    double sum = 0.0;
    for (std::size_t chunk = 0; chunk < num_chunks; ++chunk) {
      sum += sums[chunk * rows.cols + k];
    }
    mean[k] = static_cast<float>(sum / static_cast<double>(rows.rows));
  }
  return mean;
}

/// One row as codes, and what they leave.
struct Code {
  std::int32_t sum = 0;
  double scale = 0.0;
  double norm = 0.0;      ///< |x^|
  double residual = 0.0;  ///< e_x
};

/// `centred` is x' (depth values); its codes go to codes[(k / 4) * 192 + k % 4].
Code quantise(const std::vector<double>& centred, std::int8_t* codes) {
  double largest = 0.0;
  for (const double value : centred) {
    largest = std::max(largest, std::abs(value));
  }
  Code code;
  code.scale = static_cast<double>(static_cast<float>(largest / kLargestCode));
  const double inverse = code.scale > 0.0 ? 1.0 / code.scale : 0.0;
  double squares = 0.0;
  double residual_squares = 0.0;
  for (std::size_t k = 0; k < centred.size(); ++k) {
    const double rounded =
        std::clamp(std::nearbyint(centred[k] * inverse), -kLargestCode, kLargestCode);
    codes[k / 4 * 4 * simd::kPanelRows + k % 4] = static_cast<std::int8_t>(rounded);
    code.sum += static_cast<std::int32_t>(rounded);
    squares += rounded * rounded;
    const double rest = centred[k] - code.scale * rounded;
    residual_squares += rest * rest;
  }
  code.norm = code.scale * std::sqrt(squares);
  code.residual = std::sqrt(residual_squares);
  return code;
}

}  // namespace

QuantisedRows::QuantisedRows(MatrixView<const float> rows, VectorView<const double> norms,
                             VectorView<const std::int32_t> order, std::size_t num_threads,
                             Monitor& monitor)
    : depth_((rows.cols + 3) / 4 * 4) {
  const std::size_t num_panels = (rows.rows + simd::kPanelRows - 1) / simd::kPanelRows;
  const std::size_t padded = num_panels * simd::kPanelRows;
  codes_.resize(padded * depth_);
  code_sums_.resize(padded);
  scales_.resize(padded);
  offsets_.resize(padded);
  slacks_.resize(rows.rows);
  const std::vector<float> mean = mean_row(rows, norms, num_threads, monitor);
  double mean_square = 0.0;
  for (const float value : mean) {
    mean_square += static_cast<double>(value) * static_cast<double>(value);
  }
  std::vector<double> residuals(rows.rows);
  std::vector<double> biases(rows.rows);
  std::vector<double> largest(num_threads);
  parallel_chunks(rows.rows, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    std::vector<double> centred(rows.cols);
                    for (std::size_t n = begin; n < end; ++n) {
                      const auto source = static_cast<std::size_t>(order[n]);
                      const float* row = rows.row(source);
                      const double norm = norms[source];
                      double along_mean = 0.0;
                      for (std::size_t k = 0; k < rows.cols; ++k) {
                        const double value = static_cast<double>(row[k]) / norm;
                        along_mean += value * static_cast<double>(mean[k]);
                        centred[k] = value - static_cast<double>(mean[k]);
                      }
                      std::int8_t* codes = codes_.data() +
                                           n / simd::kPanelRows * simd::kPanelRows * depth_ +
                                           n % simd::kPanelRows * 4;
                      const Code code = quantise(centred, codes);
                      code_sums_[n] = code.sum;
                      scales_[n] = static_cast<float>(code.scale);
                      residuals[n] = code.residual;
                      biases[n] = along_mean - 0.5 * mean_square;
                      largest[worker] = std::max(largest[worker], code.norm + 0.5 * code.residual);
                    }
                  });
  // 1e-9 covers what float64 rounds in the norms and sums above.
  const double factor = *std::max_element(largest.begin(), largest.end()) * (1.0 + 1e-9);
  for (std::size_t n = 0; n < rows.rows; ++n) {
    const double slack = factor * residuals[n] * (1.0 + 1e-9) + kRounding;
    slacks_[n] = round_up(slack);
    offsets_[n] = round_up(biases[n] + slack);
  }
}

}  // namespace ds2fast::knn
