#include "curation/evidence_weights.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "core/parallel_for.hpp"

namespace ds2fast::curation {
namespace {

constexpr std::size_t kChunkRows = 512;
constexpr double kFirstWeight = 0.5;
constexpr double kLeastGain = 1e-7;  // a row
constexpr std::size_t kMaxSteps = 50;
constexpr int kMaxHalvings = 30;

/// Of the largest curvature: keeps a bin without messages, or two that always speak together, from
/// a singular system.
constexpr double kRidge = 1e-9;

std::vector<double> logs_of(const double* values, std::size_t size) {
  std::vector<double> logs(size);
  std::transform(values, values + size, logs.begin(), [](double value) { return std::log(value); });
  return logs;
}

/// Writes softmax(logits) and returns log sum exp(logits); where all are minus infinity, that is
/// returned and nothing written.
double softmax(const std::vector<double>& logits, std::vector<double>& shares) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  if (std::isinf(largest)) {
    return largest;
  }
  double total = 0.0;
  for (std::size_t at = 0; at < logits.size(); ++at) {
    shares[at] = std::exp(logits[at] - largest);
    total += shares[at];
  }
  for (double& share : shares) {
    share /= total;
  }
  return largest + std::log(total);
}

}  // namespace

/// Work space of a chunk of rows, and what they add up to.
class PredictiveLikelihood::RowSums {
 public:
  RowSums(const PredictiveLikelihood& model, const std::vector<double>& weights)
      : model_(model),
        weights_(weights),
        logits_(model.log_prior_.size()),
        predicted_(logits_.size()),
        informed_(logits_.size()),
        slope_(weights.size()) {
    sums_.gradient.resize(weights.size());
    sums_.curvature.resize(weights.size() * weights.size());
  }

  void add(std::size_t row) {
    const std::size_t k = logits_.size();
    logits_ = model_.log_prior_;
    model_.evidence_.for_each_message(row, [&](std::size_t bin, const double* message) {
      for (std::size_t level = 0; level < k; ++level) {
        logits_[level] += weights_[bin] * message[level];
      }
    });
    const double before = softmax(logits_, predicted_);
    const auto code = static_cast<std::size_t>(model_.evidence_.codes[row]);
    for (std::size_t level = 0; level < k; ++level) {
      logits_[level] += model_.log_emission_[code * k + level];
    }
    const double after = softmax(logits_, informed_);
    if (!std::isinf(after)) {
      sums_.value += after - before;
      add_slope(row);
    }
  }

  Sums take() { return std::move(sums_); }

 private:
  /// d/dw_b log sum_i q_i E_i = sum_i (r_i - q_i) M_bi: r knows the row's own pattern, q does not.
  void add_slope(std::size_t row) {
    std::fill(slope_.begin(), slope_.end(), 0.0);
    model_.evidence_.for_each_message(row, [&](std::size_t bin, const double* message) {
      double change = 0.0;
      for (std::size_t level = 0; level < informed_.size(); ++level) {
        change += (informed_[level] - predicted_[level]) * message[level];
      }
      slope_[bin] += change;
    });
    for (std::size_t a = 0; a < slope_.size(); ++a) {
      sums_.gradient[a] += slope_[a];
      for (std::size_t b = 0; b < slope_.size(); ++b) {
        sums_.curvature[a * slope_.size() + b] += slope_[a] * slope_[b];
      }
    }
  }

  const PredictiveLikelihood& model_;
  const std::vector<double>& weights_;
  std::vector<double> logits_;
  std::vector<double> predicted_;  ///< q
  std::vector<double> informed_;   ///< r
  std::vector<double> slope_;      ///< (B)
  Sums sums_;
};

PredictiveLikelihood::PredictiveLikelihood(const NeighbourEvidence& evidence,
                                           MatrixView<const double> emission,
                                           VectorView<const std::int32_t> rows,
                                           std::size_t num_threads)
    : evidence_(evidence),
      rows_(rows),
      num_threads_(num_threads),
      log_prior_(logs_of(evidence.prior.data, evidence.prior.size)),
      log_emission_(logs_of(emission.data, emission.rows * emission.cols)) {}

PredictiveLikelihood::Sums PredictiveLikelihood::at(const std::vector<double>& weights,
                                                    Monitor& monitor) const {
  const std::size_t num_chunks = (rows_.size + kChunkRows - 1) / kChunkRows;
  std::vector<Sums> parts(num_chunks);
  parallel_for(num_chunks, num_threads_, monitor, [&](std::size_t chunk, std::size_t /*worker*/) {
    RowSums chunk_sums(*this, weights);
    const std::size_t end = std::min(rows_.size, (chunk + 1) * kChunkRows);
    for (std::size_t at = chunk * kChunkRows; at < end; ++at) {
      chunk_sums.add(static_cast<std::size_t>(rows_[at]));
    }
    parts[chunk] = chunk_sums.take();
  });
  Sums total{0.0, std::vector<double>(weights.size()),
             std::vector<double>(weights.size() * weights.size())};
  const auto add = [](std::vector<double>& to, const std::vector<double>& from) {
    std::transform(from.begin(), from.end(), to.begin(), to.begin(), std::plus<>());
  };
  for (const Sums& part : parts) {
    total.value += part.value;
    add(total.gradient, part.gradient);
    add(total.curvature, part.curvature);
  }
  return total;
}

namespace {

/// Solves a positive definite system in place (Cholesky); `matrix` (n, n) is overwritten.
void solve_definite(std::vector<double>& matrix, std::vector<double>& right) {
  const std::size_t n = right.size();
  for (std::size_t i = 0; i < n; ++i) {
    double* row = &matrix[i * n];
    for (std::size_t j = 0; j <= i; ++j) {
      const double* other = &matrix[j * n];
      const double rest = row[j] - std::inner_product(row, row + j, other, 0.0);
      row[j] = i == j ? std::sqrt(rest) : rest / other[j];
    }
    right[i] = (right[i] - std::inner_product(row, row + i, right.begin(), 0.0)) / row[i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t j = i + 1; j < n; ++j) {
      right[i] -= matrix[j * n + i] * right[j];
    }
    right[i] /= matrix[i * n + i];
  }
}

using Sums = PredictiveLikelihood::Sums;

/// The step towards higher likelihood; 0 for weights that would be pushed below 0.
std::vector<double> step_from(const std::vector<double>& weights, const Sums& sums) {
  std::vector<std::size_t> free;
  double largest = 0.0;
  for (std::size_t bin = 0; bin < weights.size(); ++bin) {
    largest = std::max(largest, sums.curvature[bin * weights.size() + bin]);
    if (weights[bin] > 0.0 || sums.gradient[bin] > 0.0) {
      free.push_back(bin);
    }
  }
  std::vector<double> step(weights.size());
  if (largest == 0.0) {
    return step;  // no neighbour says anything
  }
  std::vector<double> matrix(free.size() * free.size());
  std::vector<double> right(free.size());
  for (std::size_t i = 0; i < free.size(); ++i) {
    right[i] = sums.gradient[free[i]];
    for (std::size_t j = 0; j < free.size(); ++j) {
      matrix[i * free.size() + j] = sums.curvature[free[i] * weights.size() + free[j]];
    }
    matrix[i * free.size() + i] += kRidge * largest;
  }
  solve_definite(matrix, right);
  for (std::size_t i = 0; i < free.size(); ++i) {
    step[free[i]] = right[i];
  }
  return step;
}

/// Passes on how many steps are done, whatever a step counts.
class StepMonitor final : public Monitor {
 public:
  explicit StepMonitor(Monitor& inner) : inner_(inner) {}
  void poll(std::size_t /*done*/, std::size_t /*total*/) override { inner_.poll(done_, kMaxSteps); }
  void finish_step() { ++done_; }

 private:
  Monitor& inner_;
  std::size_t done_ = 0;
};

/// Where the weights are, and the likelihood there.
struct Place {
  std::vector<double> weights;
  Sums sums;
};

/// The first of the step, its half, its quarter, ... that gains; the place itself where none does.
Place move(const PredictiveLikelihood& likelihood, const Place& from, Monitor& monitor) {
  const std::vector<double> step = step_from(from.weights, from.sums);
  double length = 1.0;
  for (int halvings = 0; halvings < kMaxHalvings; ++halvings, length /= 2.0) {
    Place to{from.weights, {}};
    for (std::size_t bin = 0; bin < step.size(); ++bin) {
      to.weights[bin] = std::max(0.0, from.weights[bin] + length * step[bin]);
    }
    if (to.weights == from.weights) {
      break;
    }
    to.sums = likelihood.at(to.weights, monitor);
    if (to.sums.value > from.sums.value) {
      return to;
    }
  }
  return from;
}

}  // namespace

EvidenceWeights fit_weights(const NeighbourEvidence& evidence, MatrixView<const double> emission,
                            VectorView<const std::int32_t> rows, std::size_t num_threads,
                            Monitor& monitor) {
  const PredictiveLikelihood likelihood(evidence, emission, rows, num_threads);
  StepMonitor steps_monitor(monitor);
  Place place{std::vector<double>(likelihood.num_bins(), kFirstWeight), {}};
  place.sums = likelihood.at(place.weights, steps_monitor);
  const double least_gain = kLeastGain * static_cast<double>(likelihood.num_rows());
  std::size_t steps = 0;
  while (steps < kMaxSteps) {
    Place next = move(likelihood, place, steps_monitor);
    const double gain = next.sums.value - place.sums.value;
    if (gain <= 0.0) {
      break;
    }
    place = std::move(next);
    ++steps;
    steps_monitor.finish_step();
    if (gain < least_gain) {
      break;
    }
  }
  monitor.poll(kMaxSteps, kMaxSteps);
  return {place.weights, place.sums.value, steps};
}

}  // namespace ds2fast::curation
