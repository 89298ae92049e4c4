#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "curation/beliefs.hpp"

namespace ds2fast::curation {

/// How much the neighbours' messages count, by similarity bin.
struct EvidenceWeights {
  std::vector<double> values;  ///< (B), >= 0
  double log_likelihood;       ///< of the rows' own patterns at these weights
  std::size_t steps;           ///< that raised it
};

/// The predictive log likelihood of rows' own patterns given their neighbours, and how it changes.
///
/// With q_n proportional to p_i exp(sum_m w_b(m) message_m[i]) it is sum_n log sum_i q_n[i] E[u_n,
/// i] for an emission E (U, K) >= 0. All sums are float64, of rows in chunks of fixed size and of
/// chunks in their order, so threads change nothing.
class PredictiveLikelihood {
 public:
  struct Sums {
    double value = 0.0;
    std::vector<double> gradient;   ///< (B)
    std::vector<double> curvature;  ///< (B, B) sum of the rows' g g^T, where g is a row's gradient
  };

  /// The rows must have a pattern; a row whose pattern no level can show counts nothing.
  PredictiveLikelihood(const NeighbourEvidence& evidence, MatrixView<const double> emission,
                       VectorView<const std::int32_t> rows, std::size_t num_threads);

  std::size_t num_bins() const { return evidence_.messages.num_bins; }
  std::size_t num_rows() const { return rows_.size; }
  Sums at(const std::vector<double>& weights, Monitor& monitor) const;

 private:
  class RowSums;

  const NeighbourEvidence& evidence_;
  VectorView<const std::int32_t> rows_;
  std::size_t num_threads_;
  std::vector<double> log_prior_;     ///< (K)
  std::vector<double> log_emission_;  ///< (U, K)
};

/// Weights >= 0 of highest predictive likelihood. Neighbours are not independent of each other, so
/// the messages of twenty say less than their sum; how much less is what predicts the rows' own
/// patterns best. Steps are Gauss-Newton's with the rows' outer products for the curvature (BHHH),
/// projected and halved until they gain; they end where one gains less than 1e-7 a row, or after
/// 50. A bin without messages keeps the weight 0.5 that all start from.
EvidenceWeights fit_weights(const NeighbourEvidence& evidence, MatrixView<const double> emission,
                            VectorView<const std::int32_t> rows, std::size_t num_threads,
                            Monitor& monitor);

}  // namespace ds2fast::curation
