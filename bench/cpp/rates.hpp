#pragma once

#include <vector>

namespace ds2fast::bench {

/// One measurement.
struct Rate {
  double per_second;
  double cpu_share;  ///< CPU time of the threads by their wall time: below 1 others were in the way
};

/// Rates of one thing, measured at different times.
class Rates {
 public:
  /// Counts what is done `times` for each run.
  void add(Rate rate, double times) { rates_.push_back({rate.per_second * times, rate.cpu_share}); }
  const Rate& best() const;
  double median() const;

 private:
  std::vector<Rate> rates_;
};

}  // namespace ds2fast::bench
