#pragma once

#include <cstddef>

#include "core/monitor.hpp"
#include "knn/quantised_rows.hpp"
#include "knn/reservoirs.hpp"

namespace ds2fast::knn {

/// Raises each row's threshold to the k-th best lower bound of a cosine with one of the rows around
/// it in the order of work. Near rows lie together, so that from then on few candidates pass.
void raise_first_thresholds(const QuantisedRows& quantised, const simd::KernelTable& kernels,
                            std::size_t k, std::size_t num_threads, Monitor& monitor,
                            Reservoirs& reservoirs);

/// Panels [begin, end).
struct PanelRange {
  std::size_t begin;
  std::size_t end;

  std::size_t size() const { return end - begin; }
};

/// The same for the rows of `among`, by rows of `others` alone that lie at the same share of their
/// side: near ones, where both sides are in one order.
void raise_thresholds_across(const QuantisedRows& quantised, const simd::KernelTable& kernels,
                             std::size_t k, std::size_t num_threads, Monitor& monitor,
                             PanelRange among, PanelRange others, Reservoirs& reservoirs);

}  // namespace ds2fast::knn
