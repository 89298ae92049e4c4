#include "knn/nearest_lists.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/parallel_for.hpp"

namespace ds2fast::knn {
namespace {

/// Reads one row's list, best first; at its end it stands at kNobody.
class Reader {
 public:
  Reader(const ConstNearestLists& lists, std::size_t row)
      : ids_(lists.ids.row(row)), similarities_(lists.similarities.row(row)), size_(lists.k()) {}

  std::int32_t id() const { return at_ < size_ ? ids_[at_] : kNobody; }
  double similarity() const { return similarities_[at_]; }
  void go_on() { ++at_; }

 private:
  const std::int32_t* ids_;
  const double* similarities_;
  std::size_t size_;
  std::size_t at_ = 0;
};

bool ranks_before(const Reader& x, const Reader& y) {
  if (x.id() == kNobody || y.id() == kNobody) {
    return y.id() == kNobody;
  }
  return x.similarity() > y.similarity() || (x.similarity() == y.similarity() && x.id() < y.id());
}

/// Into the row of `merged`, by way of `best`: `merged` may be x or y.
void merge_row(const ConstNearestLists& x, const ConstNearestLists& y, std::size_t row,
               std::vector<std::pair<std::int32_t, double>>& best, const NearestLists& merged) {
  Reader first(x, row);
  Reader second(y, row);
  best.clear();
  while (best.size() < merged.k() && (first.id() != kNobody || second.id() != kNobody)) {
    const bool is_same = first.id() == second.id();
    Reader& next = ranks_before(second, first) ? second : first;
    best.emplace_back(next.id(), next.similarity());
    if (is_same) {
      second.go_on();
      first.go_on();
    } else {
      next.go_on();
    }
  }
  for (std::size_t place = 0; place < best.size(); ++place) {
    merged.ids.row(row)[place] = best[place].first;
    merged.similarities.row(row)[place] = best[place].second;
  }
  end_list(merged, row, best.size());
}

}  // namespace

void end_list(const NearestLists& lists, std::size_t row, std::size_t place) {
  std::fill(lists.ids.row(row) + place, lists.ids.row(row) + lists.k(), kNobody);
  std::fill(lists.similarities.row(row) + place, lists.similarities.row(row) + lists.k(), kNowhere);
}

void merge_lists(const ConstNearestLists& x, const ConstNearestLists& y, std::size_t num_threads,
                 Monitor& monitor, const NearestLists& merged) {
  constexpr std::size_t kChunk = 4096;
  parallel_chunks(merged.num_rows(), kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    std::vector<std::pair<std::int32_t, double>> best;
                    for (std::size_t row = begin; row < end; ++row) {
                      merge_row(x, y, row, best, merged);
                    }
                  });
}

}  // namespace ds2fast::knn
