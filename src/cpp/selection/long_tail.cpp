#include "selection/long_tail.hpp"

#include <algorithm>
#include <cmath>

#include "core/parallel_for.hpp"

namespace ds2fast::selection {
namespace {

float long_tail_score(const float* similarities, std::size_t k) {
  double distance = 0.0;
  for (std::size_t place = 0; place < k; ++place) {
    // A cosine that was rounded may lie above 1; no distance is negative.
    distance += std::max(1.0 - static_cast<double>(similarities[place]), 0.0);
  }
  distance /= static_cast<double>(k);
  // tanh(d / 2) = 2 / (1 + e^-d) - 1, without the loss of digits near 0.
  return static_cast<float>(std::tanh(0.5 * distance));
}

}  // namespace

void long_tail_scores(MatrixView<const float> similarities, std::size_t k, std::size_t num_threads,
                      Monitor& monitor, VectorView<float> scores) {
  constexpr std::size_t kChunk = 8192;
  parallel_chunks(similarities.rows, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    for (std::size_t n = begin; n < end; ++n) {
                      scores[n] = long_tail_score(similarities.row(n), k);
                    }
                  });
}

}  // namespace ds2fast::selection
