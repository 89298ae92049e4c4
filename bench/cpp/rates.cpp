#include "rates.hpp"

#include <algorithm>

namespace ds2fast::bench {
namespace {

bool is_slower(const Rate& one, const Rate& other) {
  return one.per_second < other.per_second;
}

}  // namespace

const Rate& Rates::best() const {
  return *std::max_element(rates_.begin(), rates_.end(), is_slower);
}

double Rates::median() const {
  std::vector<Rate> sorted = rates_;
  std::sort(sorted.begin(), sorted.end(), is_slower);
  const std::size_t middle = sorted.size() / 2;
  const double upper = sorted[middle].per_second;
  return sorted.size() % 2 != 0 ? upper : (sorted[middle - 1].per_second + upper) / 2;
}

}  // namespace ds2fast::bench
