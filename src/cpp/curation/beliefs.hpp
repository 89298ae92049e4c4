#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"

namespace ds2fast::curation {

/// What a neighbour of pattern u in similarity bin b says of a row's level i: a log likelihood,
/// finite; (B, U, K).
struct Messages {
  VectorView<const double> values;
  std::size_t num_bins;
  std::size_t num_patterns;
  std::size_t num_levels;

  const double* of(std::size_t bin, std::size_t pattern) const {
    return values.data + (bin * num_patterns + pattern) * num_levels;
  }
};

/// A pool as the neighbours' messages see it. A padded neighbour (-1) and one without a pattern
/// say nothing.
struct NeighbourEvidence {
  VectorView<const std::int32_t> codes;  ///< (N) pattern of each row, -1 for none
  MatrixView<const std::int32_t> ids;    ///< (N, V) rows in [0, N), -1 for none
  MatrixView<const std::uint8_t> bins;   ///< (N, V) similarity bins, below B where ids are rows
  Messages messages;
  VectorView<const double> prior;  ///< (K), >= 0, not all 0

  /// Calls hear(bin, message) for each neighbour of the row that says something, in their order.
  template <typename Hear>
  void for_each_message(std::size_t row, const Hear& hear) const {
    const std::int32_t* neighbours = ids.row(row);
    const std::uint8_t* bin = bins.row(row);
    for (std::size_t rank = 0; rank < ids.cols; ++rank) {
      if (neighbours[rank] < 0) {
        continue;
      }
      const std::int32_t code = codes[static_cast<std::size_t>(neighbours[rank])];
      if (code >= 0) {
        hear(static_cast<std::size_t>(bin[rank]),
             messages.of(bin[rank], static_cast<std::size_t>(code)));
      }
    }
  }
};

/// q (N, K): what its neighbours alone say of a row's level, softmax(log p + sum of messages), for
/// every row, those without a pattern too. Sums are float64 in the order of the neighbours, so
/// threads change nothing.
void neighbour_beliefs(const NeighbourEvidence& evidence, std::size_t num_threads, Monitor& monitor,
                       MatrixView<double> beliefs);

}  // namespace ds2fast::curation
