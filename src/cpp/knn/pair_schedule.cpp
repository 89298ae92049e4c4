#include "knn/pair_schedule.hpp"

#include <algorithm>

namespace ds2fast::knn {

PairSchedule::PairSchedule(std::size_t num_blocks) : busy_(num_blocks) {
  pairs_.reserve(num_blocks * (num_blocks + 1) / 2);
  for (std::size_t block = 0; block < num_blocks; ++block) {
    pairs_.push_back({block, block});
  }
  // Circle method: seat `last` stays, the others turn by one a round; seat num_blocks is a bye if
  // odd.
  const std::size_t seats = num_blocks + num_blocks % 2;
  const std::size_t last = seats - 1;
  for (std::size_t round = 0; round + 1 < seats; ++round) {
    for (std::size_t i = 0; i < seats / 2; ++i) {
      const std::size_t x = i == 0 ? last : (round + i) % last;
      const std::size_t y = (round + last - i) % last;
      if (x < num_blocks && y < num_blocks) {
        pairs_.push_back({std::min(x, y), std::max(x, y)});
      }
    }
  }
  taken_.resize(pairs_.size());
}

std::size_t PairSchedule::find_free() const {
  for (std::size_t index = first_open_; index < pairs_.size(); ++index) {
    const Pair pair = pairs_[index];
    if (!taken_[index] && !busy_[pair.a] && !busy_[pair.b]) {
      return index;
    }
  }
  return pairs_.size();
}

PairSchedule::Lease PairSchedule::acquire() {
  std::unique_lock<std::mutex> lock(mutex_);
  std::size_t index = find_free();
  while (index == pairs_.size()) {
    released_.wait(lock);
    index = find_free();
  }
  const Pair pair = pairs_[index];
  taken_[index] = 1;
  busy_[pair.a] = 1;
  busy_[pair.b] = 1;
  while (first_open_ < pairs_.size() && taken_[first_open_]) {
    ++first_open_;
  }
  return {*this, pair};
}

void PairSchedule::release(Pair pair) {
  const std::lock_guard<std::mutex> lock(mutex_);
  busy_[pair.a] = 0;
  busy_[pair.b] = 0;
  released_.notify_all();
}

}  // namespace ds2fast::knn
