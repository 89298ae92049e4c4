#include "selection/near_selected.hpp"

#include <algorithm>

#include "core/parallel_for.hpp"

namespace ds2fast::selection {
namespace {

constexpr std::size_t kRowsAtOnce = 16;  // their values stay in the first cache
static_assert(kRowsAtOnce % simd::kDotsAtOnce == 0, "whole groups of dots");

void offer(Match& best, std::int32_t row, float similarity) {
  if (best.row < 0 || similarity > best.similarity ||
      (similarity == best.similarity && row < best.row)) {
    best = {row, similarity};
  }
}

}  // namespace

NearSelected::NearSelected(const Nearness& nearness, float least, std::size_t num_threads)
    : nearness_(nearness),
      least_(least),
      num_threads_(num_threads),
      is_selected_(nearness.indices.rows),
      by_graph_(nearness.indices.rows) {
  if (nearness_.vectors != nullptr) {
    by_vectors_.resize(nearness_.indices.rows);
    num_known_.resize(nearness_.indices.rows);
  }
}

/// A list that names all other rows is never cut.
bool NearSelected::is_cut(std::int32_t row) const {
  const MatrixView<const float>& lists = nearness_.similarities;
  return lists.cols + 1 < lists.rows &&
         lists.row(static_cast<std::size_t>(row))[lists.cols - 1] >= least_;
}

void NearSelected::look_ahead(const std::vector<std::int32_t>& rows, Monitor& monitor) {
  if (nearness_.vectors == nullptr || cut_.empty()) {
    return;
  }
  std::vector<std::int32_t> open;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(open), [&](std::int32_t row) {
    return is_cut(row) && by_graph_[static_cast<std::size_t>(row)].row < 0;
  });
  // Polled, so that it can be stopped; the walk reports how far it is.
  PhaseMonitor quiet(monitor, 0, 0, 1);
  parallel_chunks(open.size(), kRowsAtOnce, num_threads_, quiet,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    compare(open.data() + begin, end - begin);
                  });
}

/// Compares up to kRowsAtOnce rows with the cut selected rows that they were not compared with.
void NearSelected::compare(const std::int32_t* rows, std::size_t count) {
  if (num_known_[static_cast<std::size_t>(rows[0])] == cut_.size() && count == 1) {
    return;
  }
  const knn::RowSource& vectors = *nearness_.vectors;
  const std::size_t depth = vectors.depth();
  std::vector<float> widened((kRowsAtOnce + 1) * depth);
  const float* values[kRowsAtOnce];
  std::size_t from = cut_.size();
  for (std::size_t i = 0; i < kRowsAtOnce; ++i) {
    const auto row = static_cast<std::size_t>(rows[std::min(i, count - 1)]);
    values[i] = vectors.read(row, widened.data() + i * depth);
    from = std::min(from, num_known_[row]);
  }
  for (std::size_t place = from; place < cut_.size(); ++place) {
    const auto other = static_cast<std::size_t>(cut_[place]);
    const float* other_values = vectors.read(other, widened.data() + kRowsAtOnce * depth);
    double dots[kRowsAtOnce];
    for (std::size_t i = 0; i < count; i += simd::kDotsAtOnce) {
      vectors.kernels().exact_dots(other_values, values + i, depth, dots + i);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = static_cast<std::size_t>(rows[i]);
      const auto cosine =
          static_cast<float>(dots[i] / (nearness_.norms[row] * nearness_.norms[other]));
      if (cosine >= least_) {  // false for the NaN of a row without a direction
        offer(by_vectors_[row], cut_[place], cosine);
      }
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    num_known_[static_cast<std::size_t>(rows[i])] = cut_.size();
  }
}

Match NearSelected::match(std::int32_t row) {
  const auto index = static_cast<std::size_t>(row);
  Match& told = by_graph_[index];
  const std::int32_t* others = nearness_.indices.row(index);
  const float* similarities = nearness_.similarities.row(index);
  for (std::size_t i = 0; i < nearness_.indices.cols && similarities[i] >= least_; ++i) {
    if (is_selected_[static_cast<std::size_t>(others[i])] != 0) {
      offer(told, others[i], similarities[i]);
    }
  }
  if (told.row >= 0 || nearness_.vectors == nullptr || !is_cut(row)) {
    return told;
  }
  compare(&row, 1);
  return by_vectors_[index];
}

void NearSelected::add(std::int32_t row) {
  const auto index = static_cast<std::size_t>(row);
  is_selected_[index] = 1;
  const std::int32_t* others = nearness_.indices.row(index);
  const float* similarities = nearness_.similarities.row(index);
  for (std::size_t i = 0; i < nearness_.indices.cols && similarities[i] >= least_; ++i) {
    offer(by_graph_[static_cast<std::size_t>(others[i])], row, similarities[i]);
  }
  if (is_cut(row)) {
    num_unsettled_ += nearness_.vectors == nullptr && !cut_.empty();
    cut_.push_back(row);
  }
}

}  // namespace ds2fast::selection
