#include "knn/list_ranking.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "core/parallel_for.hpp"
#include "core/round_up.hpp"
#include "knn/bound_steps.hpp"
#include "knn/pair_filter.hpp"

namespace ds2fast::knn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kChunk = 256;

/// Ranks `desk.candidates` and writes the best.
void rank_into(std::size_t place, const ExactRanking& ranking, ExactRanking::Desk& desk,
               std::size_t row, const RankedRows& out) {
  ranking.rank(place, out.ids.cols, desk);
  if (desk.nearest.size() < out.ids.cols) {  // the rows were changed meanwhile, or lists are cut
    throw std::logic_error("k-NN search: a row is left with fewer than k candidates");
  }
  for (std::size_t i = 0; i < out.ids.cols; ++i) {
    out.ids.row(row)[i] = desk.nearest[i].id;
    out.similarities.row(row)[i] = desk.nearest[i].similarity;
  }
}

/// Rows that may be among the k nearest of one row.
class Candidates {
 public:
  explicit Candidates(std::size_t k) : k_(k) {}

  /// The least upper bound that may matter.
  float threshold() const { return threshold_; }

  void push(std::int32_t place, Bounds bounds) {
    if (bounds.upper < threshold_) {
      return;
    }
    found_.push_back({place, bounds});
    if (found_.size() >= kept_ + std::max({std::size_t{64}, 8 * k_, kept_})) {
      tighten();
    }
  }

  /// To `desk.candidates`.
  void lay_out(ExactRanking::Desk& desk) {
    tighten();
    desk.candidates.clear();
    for (const Found& one : found_) {
      desk.candidates.emplace_back(step_above(one.bounds.upper), one.place);
    }
  }

 private:
  struct Found {
    std::int32_t place;
    Bounds bounds;
  };

  void tighten() {
    if (found_.size() < k_) {
      return;
    }
    const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(found_.begin(), kth, found_.end(), [](const Found& x, const Found& y) {
      return x.bounds.lower > y.bounds.lower;
    });
    threshold_ = std::max(threshold_, kth->bounds.lower);
    found_.erase(std::remove_if(found_.begin(), found_.end(),
                                [&](const Found& one) { return one.bounds.upper < threshold_; }),
                 found_.end());
    kept_ = found_.size();
  }

  std::size_t k_;
  std::size_t kept_ = 0;
  float threshold_ = -kInfinity;
  std::vector<Found> found_;
};

/// Rows of others that are laid out in panels at a time.
constexpr std::size_t kOthers = 2 * simd::kPanelRows;
/// Panels that are searched at a time, at most: what is laid out serves all of them.
constexpr std::size_t kMostPanels = 16;
/// Their bytes, where there is more than one: they and the others lie in a core's own cache.
constexpr std::size_t kMostBytes = 1 << 19;
/// Products of a task, where it has more than a panel: so long a stop has to wait.
constexpr double kMostProducts = 1e12;

/// Searches all rows for some panels. One worker's own.
class PanelSearch {
 public:
  PanelSearch(const CodeRows& rows, const simd::KernelTable& kernels)
      : rows_(rows),
        kernels_(kernels),
        panels_(rows, kMostPanels * simd::kPanelRows, kernels),
        others_(rows, kOthers, kernels),
        largest_slack_(*std::max_element(rows.slacks, rows.slacks + rows.num_rows())) {
    none_.fill(kInfinity);
  }

  /// Rows at places[0..count) against all; what may be near goes to `candidates`.
  void search(const std::int32_t* places, std::size_t count, std::vector<Candidates>& candidates) {
    panels_.fill(places, count);
    std::array<std::int32_t, kOthers> range;
    for (std::size_t begin = 0; begin < rows_.num_rows(); begin += kOthers) {
      const std::size_t size = std::min(kOthers, rows_.num_rows() - begin);
      std::iota(range.begin(), range.end(), static_cast<std::int32_t>(begin));
      others_.fill(range.data(), size);
      for (std::size_t p = 0; p < panels_.num_panels(); ++p) {
        for (std::size_t q = 0; q < others_.num_panels(); ++q) {
          scan(p, q, candidates.data() + p * simd::kPanelRows);
        }
      }
    }
  }

 private:
  /// Rows of panel p, to whom `candidates` belong, against the others' panel q.
  void scan(std::size_t p, std::size_t q, Candidates* candidates) {
    panels_.multiply(p, others_, q, products_.data());
    const std::size_t hits =
        kernels_.scan_codes(products_.data(), panels_.bounds(p), others_.bounds(q),
                            thresholds(p, candidates), none_.data(), codes_.data());
    for (std::size_t i = 0; i < hits; ++i) {
      const std::size_t r = codes_[i] / simd::kPanelRows;
      const std::size_t c = codes_[i] % simd::kPanelRows;
      if (r >= panels_.rows_in(p) || c >= others_.rows_in(q)) {
        continue;
      }
      const std::int32_t row = panels_.place(p * simd::kPanelRows + r);
      const std::int32_t other = others_.place(q * simd::kPanelRows + c);
      if (other != row) {
        candidates[r].push(other, bounds_of(row, other, products_[codes_[i]]));
      }
    }
  }

  /// What a similarity has to reach for each row of panel p; nothing reaches those of no row.
  const float* thresholds(std::size_t p, const Candidates* candidates) {
    constexpr float kFilterRoom = 0x1p-18F;  // for what the filter rounds otherwise
    thresholds_ = none_;
    for (std::size_t r = 0; r < panels_.rows_in(p); ++r) {
      const auto row = static_cast<std::size_t>(panels_.place(p * simd::kPanelRows + r));
      thresholds_[r] = candidates[r].threshold() - rows_.slacks[row] - largest_slack_ - kFilterRoom;
    }
    return thresholds_.data();
  }

  Bounds bounds_of(std::int32_t row, std::int32_t other, std::int32_t product) const {
    const auto x = static_cast<std::size_t>(row);
    const auto y = static_cast<std::size_t>(other);
    const float similarity = code_similarity(rows_, x, y, product);
    const float slack = rows_.slacks[x] + rows_.slacks[y];
    return {similarity - slack, similarity + slack};
  }

  const CodeRows& rows_;
  const simd::KernelTable& kernels_;
  CodePanels panels_;
  CodePanels others_;
  float largest_slack_;
  std::array<float, simd::kPanelRows> none_;
  std::array<float, simd::kPanelRows> thresholds_;
  alignas(64) std::array<std::int32_t, simd::kTileSize> products_;
  std::array<std::uint32_t, simd::kTileSize> codes_;
};

/// Panels of a task, at most.
std::size_t most_panels(const CodeRows& rows) {
  const std::size_t a_panel = simd::kPanelRows * rows.depth();
  const double products = static_cast<double>(a_panel) * static_cast<double>(rows.num_rows());
  const auto in_time = static_cast<std::size_t>(std::min(kMostProducts / products, 1e6));
  return std::clamp(std::min(kMostBytes / a_panel, in_time), std::size_t{1}, kMostPanels);
}

/// Rows of a task: whole panels, as many for each thread, where there are enough.
std::size_t rows_of_task(const CodeRows& rows, std::size_t count, std::size_t num_threads) {
  const std::size_t most_rows = most_panels(rows) * simd::kPanelRows;
  const std::size_t tasks =
      round_up_to(std::max(count, std::size_t{1}), most_rows * num_threads) / most_rows;
  return round_up_to(std::max((count + tasks - 1) / tasks, std::size_t{1}), simd::kPanelRows);
}

}  // namespace

void rank_lists(const CodeRows& rows, const ConstNeighbourLists& lists,
                VectorView<const std::int32_t> places, const ExactRanking& ranking,
                std::size_t num_threads, Monitor& monitor, const RankedRows& out) {
  parallel_chunks(places.size, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    ExactRanking::Desk desk = ranking.make_desk();
                    for (std::size_t i = begin; i < end; ++i) {
                      const auto x = static_cast<std::size_t>(places[i]);
                      const std::uint32_t* entries = lists.entries.row(x);
                      const float* similarities = lists.similarities.row(x);
                      desk.candidates.clear();
                      for (std::size_t j = 0; j < lists.width(); ++j) {
                        const std::size_t y = place_of(entries[j]);
                        if (y != kNoPlace) {
                          const float upper = similarities[j] + (rows.slacks[x] + rows.slacks[y]);
                          desk.candidates.emplace_back(step_above(upper),
                                                       static_cast<std::int32_t>(y));
                        }
                      }
                      rank_into(x, ranking, desk, i, out);
                    }
                  });
}

void exact_neighbours(const CodeRows& rows, VectorView<const std::int32_t> places,
                      const ExactRanking& ranking, const simd::KernelTable& kernels,
                      std::size_t num_threads, Monitor& monitor, const RankedRows& out) {
  parallel_chunks(places.size, rows_of_task(rows, places.size, num_threads), num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    const auto search = std::make_unique<PanelSearch>(rows, kernels);
                    std::vector<Candidates> candidates(end - begin, Candidates(out.ids.cols));
                    search->search(places.data + begin, end - begin, candidates);
                    ExactRanking::Desk desk = ranking.make_desk();
                    for (std::size_t i = begin; i < end; ++i) {
                      candidates[i - begin].lay_out(desk);
                      rank_into(static_cast<std::size_t>(places[i]), ranking, desk, i, out);
                    }
                  });
}

}  // namespace ds2fast::knn
