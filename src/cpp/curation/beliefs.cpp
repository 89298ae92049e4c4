#include "curation/beliefs.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel_for.hpp"

namespace ds2fast::curation {
namespace {

constexpr std::size_t kChunkRows = 2048;

/// In place; the largest value is finite, others may be minus infinity.
void softmax(double* values, std::size_t size) {
  const double largest = *std::max_element(values, values + size);
  double total = 0.0;
  for (std::size_t at = 0; at < size; ++at) {
    values[at] = std::exp(values[at] - largest);
    total += values[at];
  }
  for (std::size_t at = 0; at < size; ++at) {
    values[at] /= total;
  }
}

}  // namespace

void neighbour_beliefs(const NeighbourEvidence& evidence, std::size_t num_threads, Monitor& monitor,
                       MatrixView<double> beliefs) {
  const std::size_t num_levels = evidence.prior.size;
  std::vector<double> log_prior(num_levels);
  std::transform(evidence.prior.begin(), evidence.prior.end(), log_prior.begin(),
                 [](double share) { return std::log(share); });
  parallel_chunks(beliefs.rows, kChunkRows, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                    for (std::size_t row = begin; row < end; ++row) {
                      double* belief = beliefs.row(row);
                      std::copy(log_prior.begin(), log_prior.end(), belief);
                      evidence.for_each_message(
                          row, [&](std::size_t /*bin*/, const double* message) {
                            for (std::size_t level = 0; level < num_levels; ++level) {
                              belief[level] += message[level];
                            }
                          });
                      softmax(belief, num_levels);
                    }
                  });
}

}  // namespace ds2fast::curation
