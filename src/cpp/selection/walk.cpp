#include "selection/walk.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/paced_poll.hpp"

namespace ds2fast::selection {
namespace {

constexpr std::size_t kBlock = 256;  // rows that are looked at ahead

/// Counts the rows of each group against what it may hold.
class Places {
 public:
  explicit Places(const GroupLimits& groups) : groups_(groups) {
    const std::size_t num_groups = std::max(groups.quotas.size, groups.caps.size);
    taken_.resize(num_groups);
    most_.resize(num_groups, std::numeric_limits<std::int64_t>::max());
    lower_to(groups.caps);
    lower_to(groups.quotas);
  }

  void forget_quotas() {
    std::fill(most_.begin(), most_.end(), std::numeric_limits<std::int64_t>::max());
    lower_to(groups_.caps);
  }

  bool has_room(std::int64_t row) const {
    return most_.empty() || taken_[group_of(row)] < most_[group_of(row)];
  }

  void take(std::int64_t row) {
    if (!most_.empty()) {
      ++taken_[group_of(row)];
    }
  }

 private:
  void lower_to(VectorView<const std::int64_t> limits) {
    for (std::size_t group = 0; group < limits.size; ++group) {
      most_[group] = std::min(most_[group], limits[group]);
    }
  }

  std::size_t group_of(std::int64_t row) const {
    return static_cast<std::size_t>(groups_.codes[static_cast<std::size_t>(row)]);
  }

  const GroupLimits& groups_;
  std::vector<std::int64_t> taken_;
  std::vector<std::int64_t> most_;
};

class Walk {
 public:
  Walk(VectorView<const std::int64_t> order, std::size_t count, const GroupLimits& groups,
       NearSelected* near, Monitor& monitor, const WalkResult& result)
      : order_(order),
        left_(count),
        places_(groups),
        near_(near),
        monitor_(monitor),
        poll_(monitor),
        result_(result) {}

  void run(bool has_quotas) {
    go();
    if (has_quotas && left_ > 0) {
      places_.forget_quotas();
      go();
    }
    poll_.finish(order_.size);
  }

 private:
  void go() {
    for (std::size_t begin = 0; begin < order_.size && left_ > 0; begin += kBlock) {
      const std::size_t end = std::min(begin + kBlock, order_.size);
      look_ahead(begin, end);
      for (std::size_t place = begin; place < end && left_ > 0; ++place) {
        if (is_open(place)) {
          outcome(place) = judge(place);
        }
      }
      poll_(end, order_.size);
    }
  }

  void look_ahead(std::size_t begin, std::size_t end) {
    if (near_ == nullptr) {
      return;
    }
    ahead_.clear();
    for (std::size_t place = begin; place < end; ++place) {
      if (is_open(place) && places_.has_room(order_[place])) {
        ahead_.push_back(static_cast<std::int32_t>(order_[place]));
      }
    }
    near_->look_ahead(ahead_, monitor_);
  }

  Outcome judge(std::size_t place) {
    const std::int64_t row = order_[place];
    if (!places_.has_room(row)) {
      return Outcome::kGroupFull;
    }
    if (near_ != nullptr) {
      const Match match = near_->match(static_cast<std::int32_t>(row));
      if (match.row >= 0) {
        result_.because[place] = match.row;
        result_.similarities[place] = match.similarity;
        return Outcome::kDuplicate;
      }
      near_->add(static_cast<std::int32_t>(row));
    }
    places_.take(row);
    --left_;
    return Outcome::kSelected;
  }

  /// Neither selected nor a duplicate.
  bool is_open(std::size_t place) {
    return outcome(place) == Outcome::kNotReached || outcome(place) == Outcome::kGroupFull;
  }

  Outcome& outcome(std::size_t place) { return result_.outcomes[place]; }

  VectorView<const std::int64_t> order_;
  std::size_t left_;
  Places places_;
  NearSelected* near_;
  Monitor& monitor_;
  PacedPoll poll_;
  const WalkResult& result_;
  std::vector<std::int32_t> ahead_;
};

}  // namespace

void walk_down(VectorView<const std::int64_t> order, std::size_t count, const GroupLimits& groups,
               NearSelected* near, Monitor& monitor, const WalkResult& result) {
  std::fill(result.outcomes.begin(), result.outcomes.end(), Outcome::kNotReached);
  std::fill(result.because.begin(), result.because.end(), -1);
  std::fill(result.similarities.begin(), result.similarities.end(),
            std::numeric_limits<float>::quiet_NaN());
  Walk(order, count, groups, near, monitor, result).run(groups.quotas.size > 0);
}

}  // namespace ds2fast::selection
