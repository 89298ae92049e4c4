#include "knn/copies.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "core/paced_poll.hpp"

namespace ds2fast::knn {
namespace {

using Ids = std::vector<std::int32_t>;

/// Calls visit(begin, end) for each run that `same` holds for, an item with the first.
template <typename Iterator, typename Same, typename Visit>
void for_each_run(Iterator begin, Iterator end, Same same, Visit visit) {
  while (begin != end) {
    const auto next =
        std::find_if_not(begin, end, [&](const auto& item) { return same(*begin, item); });
    visit(begin, next);
    begin = next;
  }
}

struct NormedRow {
  double norm;
  std::int32_t id;
};

/// Equal rows have equal norms, and few others have.
template <typename Visit>
void for_each_run_of_equal_norms(VectorView<const double> norms, Monitor& monitor, Visit visit) {
  std::vector<NormedRow> rows(norms.size);
  for (std::size_t n = 0; n < norms.size; ++n) {
    rows[n] = {norms[n], static_cast<std::int32_t>(n)};
  }
  monitor.poll(0, 1);
  std::sort(rows.begin(), rows.end(),
            [](const NormedRow& x, const NormedRow& y) { return x.norm < y.norm; });
  PacedPoll poll(monitor);
  for_each_run(
      rows.data(), rows.data() + rows.size(),
      [](const NormedRow& x, const NormedRow& y) { return x.norm == y.norm; },
      [&](const NormedRow* begin, const NormedRow* end) {
        poll(0, 1);
        visit(begin, end);
      });
}

}  // namespace

Copies find_copies(const RowSource& rows, VectorView<const double> norms, std::size_t k,
                   Monitor& monitor) {
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
  Ids alike;
  for_each_run_of_equal_norms(norms, monitor, [&](const auto* begin, const auto* end) {
    alike.clear();
    std::transform(begin, end, std::back_inserter(alike), [](const auto& row) { return row.id; });
    if (alike.size() <= k + 1) {  // too few to hold copies to leave out
      copies.searched.insert(copies.searched.end(), alike.begin(), alike.end());
      return;
    }
    std::sort(alike.begin(), alike.end(), by_bytes);
    for_each_run(
        alike.begin(), alike.end(), [&](auto m, auto n) { return compare(m, n) == 0; }, set_aside);
  });
  std::sort(copies.searched.begin(), copies.searched.end());
  return copies;
}

template <typename Similarity>
void fill_in_copies(const Copies& copies, const ExactRanking& ranking, MatrixView<std::int32_t> ids,
                    MatrixView<Similarity> similarities) {
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
      similarities.row(row)[i] = static_cast<Similarity>(desk.nearest[i].similarity);
    }
  }
}

template void fill_in_copies(const Copies&, const ExactRanking&, MatrixView<std::int32_t>,
                             MatrixView<float>);
template void fill_in_copies(const Copies&, const ExactRanking&, MatrixView<std::int32_t>,
                             MatrixView<double>);

}  // namespace ds2fast::knn
