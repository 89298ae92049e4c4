#include "knn/pair_schedule.hpp"

#include <algorithm>

namespace ds2fast::knn {

PairSchedule::PairSchedule(std::size_t num_blocks)
    : num_blocks_(num_blocks),
      num_left_(0),
      num_pairs_(num_blocks * (num_blocks + 1) / 2),
      busy_(num_blocks) {}

PairSchedule::PairSchedule(std::size_t num_left, std::size_t num_right)
    : num_blocks_(num_left + num_right),
      num_left_(num_left),
      num_pairs_(num_left * num_right),
      busy_(num_blocks_) {}

PairSchedule::Pair PairSchedule::pair_at(std::size_t index) const {
  return num_left_ == 0 ? pair_among(index) : pair_across(index);
}

/// Circle method: seat `last` stays, the others turn by one a round; with an odd number of blocks
/// the last seat is empty, so a round has one pair less and starts with i = 1.
PairSchedule::Pair PairSchedule::pair_among(std::size_t index) const {
  if (index < num_blocks_) {
    return {index, index};
  }
  const std::size_t bye = num_blocks_ % 2;
  const std::size_t last = num_blocks_ + bye - 1;
  const std::size_t pairs_a_round = num_blocks_ / 2;
  const std::size_t round = (index - num_blocks_) / pairs_a_round;
  const std::size_t i = (index - num_blocks_) % pairs_a_round + bye;
  const std::size_t x = i == 0 ? last : (round + i) % last;
  const std::size_t y = (round + last - i) % last;
  return {std::min(x, y), std::max(x, y)};
}

/// In each round, every block of the smaller side meets another one of the larger side, at first
/// the one at its own place: where both sides are in one order, near rows meet early.
PairSchedule::Pair PairSchedule::pair_across(std::size_t index) const {
  const std::size_t num_right = num_blocks_ - num_left_;
  const std::size_t larger = std::max(num_left_, num_right);
  const std::size_t smaller = std::min(num_left_, num_right);
  const std::size_t x = index % smaller;
  const std::size_t y = (x * larger / smaller + index / smaller) % larger;
  return num_left_ <= num_right ? Pair{x, num_left_ + y} : Pair{y, num_left_ + x};
}

/// The first pair in turn that is free; defers those before it, two rounds of them at most.
bool PairSchedule::take_free(Pair& pair) {
  const auto ready = std::find_if(deferred_.begin(), deferred_.end(),
                                  [this](Pair waiting) { return is_free(waiting); });
  if (ready != deferred_.end()) {
    pair = *ready;
    deferred_.erase(ready);
    return true;
  }
  while (next_ < num_pairs() && deferred_.size() < num_blocks_) {
    pair = pair_at(next_++);
    if (is_free(pair)) {
      return true;
    }
    deferred_.push_back(pair);
  }
  return false;
}

PairSchedule::Lease PairSchedule::acquire() {
  std::unique_lock<std::mutex> lock(mutex_);
  Pair pair{};
  released_.wait(lock, [&] { return take_free(pair); });
  busy_[pair.a] = 1;
  busy_[pair.b] = 1;
  return {*this, pair};
}

void PairSchedule::release(Pair pair) {
  const std::lock_guard<std::mutex> lock(mutex_);
  busy_[pair.a] = 0;
  busy_[pair.b] = 0;
  released_.notify_all();
}

}  // namespace ds2fast::knn
