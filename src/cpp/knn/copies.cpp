#include "knn/copies.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace ds2fast::knn {
namespace {

using Ids = std::vector<std::int32_t>;

/// Calls visit(begin, end) for each run of `ids` that `same` holds for, one id with the first.
template <typename Same, typename Visit>
void for_each_run(Ids::iterator begin, Ids::iterator end, Same same, Visit visit) {
  while (begin != end) {
    const auto next = std::find_if_not(begin, end, [&](std::int32_t n) { return same(*begin, n); });
    visit(begin, next);
    begin = next;
  }
}

}  // namespace

Copies find_copies(const RowSource& rows, VectorView<const double> norms, std::size_t k) {
  const auto norm = [&](std::int32_t n) { return norms[static_cast<std::size_t>(n)]; };
  const auto compare = [&](std::int32_t m, std::int32_t n) {
    return std::memcmp(rows.bytes(static_cast<std::size_t>(m)),
                       rows.bytes(static_cast<std::size_t>(n)), rows.row_bytes());
  };
  const auto by_bytes = [&](std::int32_t m, std::int32_t n) {
    const int difference = compare(m, n);
    return difference < 0 || (difference == 0 && m < n);
  };
  Copies copies;
  const auto set_aside = [&](Ids::iterator begin, Ids::iterator end) {
    for (auto copy = begin; copy != end; ++copy) {
      if (static_cast<std::size_t>(copy - begin) <= k) {
        copies.searched.push_back(*copy);
      } else {
        copies.rest.push_back({*copy, *begin});
      }
    }
  };
  const auto split = [&](Ids::iterator begin, Ids::iterator end) {
    if (static_cast<std::size_t>(end - begin) <= k + 1) {  // too few to hold copies to leave out
      copies.searched.insert(copies.searched.end(), begin, end);
      return;
    }
    std::sort(begin, end, by_bytes);
    for_each_run(begin, end, [&](auto m, auto n) { return compare(m, n) == 0; }, set_aside);
  };

  Ids order(rows.num_rows());
  std::iota(order.begin(), order.end(), 0);
  // Equal rows have equal norms, and few others have.
  std::sort(order.begin(), order.end(), [&](auto m, auto n) { return norm(m) < norm(n); });
  copies.searched.reserve(order.size());
  for_each_run(
      order.begin(), order.end(), [&](auto m, auto n) { return norm(m) == norm(n); }, split);
  std::sort(copies.searched.begin(), copies.searched.end());
  return copies;
}

void fill_in_copies(const Copies& copies, const ExactRanking& ranking, MatrixView<std::int32_t> ids,
                    MatrixView<float> similarities) {
  const std::size_t k = ids.cols;
  ExactRanking::Desk desk = ranking.make_desk();
  std::int32_t ranked_first = -1;
  for (const Copies::Copy& copy : copies.rest) {
    if (copy.first != ranked_first) {
      ranked_first = copy.first;
      const std::int32_t* neighbours = ids.row(static_cast<std::size_t>(copy.first));
      std::vector<std::int32_t> others(neighbours, neighbours + k);
      others.push_back(copy.first);
      ranking.rank_rows(copy.first, others, desk);
    }
    const auto row = static_cast<std::size_t>(copy.row);
    for (std::size_t i = 0; i < k; ++i) {
      ids.row(row)[i] = desk.nearest[i].id;
      similarities.row(row)[i] = static_cast<float>(desk.nearest[i].similarity);
    }
  }
}

}  // namespace ds2fast::knn
