#include "curation/simifeat.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <vector>

#include "core/paced_poll.hpp"
#include "core/parallel_for.hpp"
#include "curation/rank_rule.hpp"
#include "curation/sampling.hpp"

namespace ds2fast::curation {
namespace {

constexpr std::size_t kChunkRows = 4096;

/// In place of a suggestion: the row's counted neighbours all carry its own level.
constexpr std::uint8_t kUnanimous = 0xFF;

/// In place of a floored share, which is never below 1e-8: the round did not draw the row.
constexpr double kNoShare = -1.0;

struct Opinion {
  double floored_share;    ///< L2-normalised vote for the row's own level, + 1e-8
  std::uint8_t suggested;  ///< level of the strongest vote, or kUnanimous
};

/// A row's weighted histogram over the levels.
class Ballot {
 public:
  explicit Ballot(std::size_t num_levels) : num_levels_(num_levels) {}

  /// `num_counted` neighbours in the order of their similarity.
  Opinion count(std::uint8_t own, const std::uint8_t* levels, const float* weights,
                std::size_t num_counted) {
    std::fill_n(histogram_.begin(), num_levels_, 0.0);
    histogram_[own] = std::max(own_weight(weights, num_counted), 0.0);
    bool unanimous = true;
    for (std::size_t at = 0; at < num_counted; ++at) {
      histogram_[levels[at]] += std::max(static_cast<double>(weights[at]), 0.0);
      unanimous = unanimous && levels[at] == own;
    }
    return {share_of(own) + kShareFloor, unanimous ? kUnanimous : strongest()};
  }

 private:
  /// 1 - (2 * d1 - d2) with the distances to the first two counted neighbours (d2 = d1 if there is
  /// one).
  static double own_weight(const float* weights, std::size_t num_counted) {
    if (num_counted == 0) {
      return 1.0;
    }
    const double first = 1.0 - static_cast<double>(weights[0]);
    const double second = num_counted > 1 ? 1.0 - static_cast<double>(weights[1]) : first;
    return 1.0 - (2.0 * first - second);
  }

  double share_of(std::uint8_t own) const {
    double squared = 0.0;
    for (std::size_t level = 0; level < num_levels_; ++level) {
      squared += histogram_[level] * histogram_[level];
    }
    return squared > 0.0 ? histogram_[own] / std::sqrt(squared) : 0.0;
  }

  std::uint8_t strongest() const {
    const auto end = histogram_.begin() + static_cast<std::ptrdiff_t>(num_levels_);
    return static_cast<std::uint8_t>(std::max_element(histogram_.begin(), end) -
                                     histogram_.begin());
  }

  std::size_t num_levels_;
  std::array<double, kMaxLevels> histogram_{};
};

/// The rounds' work space and steps. Rows have slots grouped by level, so that a level's shares are
/// one run.
class Rounds {
 public:
  Rounds(const VoteInput& input, std::size_t num_threads, const Votes& votes);
  void play(std::size_t round, Monitor& monitor);

 private:
  void group_by_level();
  void vote(Monitor& monitor);
  std::size_t gather_counted(std::size_t row, std::uint8_t* levels, float* weights) const;
  void set_rules(Monitor& monitor);
  void flag(Monitor& monitor);

  const VoteInput& input_;
  const Votes& votes_;
  std::size_t num_levels_;
  std::size_t num_threads_;
  RoundSampler sampler_;
  std::vector<std::size_t> first_slot_;  ///< (K + 1)
  std::vector<std::uint32_t> slot_;      ///< (N), of rated rows
  std::vector<std::uint8_t> drawn_;      ///< (N), see RoundSampler
  std::vector<std::uint8_t> suggested_;  ///< (N)
  std::vector<double> shares_;           ///< by slot
  std::vector<RankRule> rules_;          ///< (K)
};

Rounds::Rounds(const VoteInput& input, std::size_t num_threads, const Votes& votes)
    : input_(input),
      votes_(votes),
      num_levels_(input.error_rates.size),
      num_threads_(num_threads),
      sampler_(input.levels, input.seed, num_threads),
      first_slot_(num_levels_ + 1),
      slot_(input.levels.size),
      drawn_(input.levels.size),
      suggested_(input.levels.size) {
  group_by_level();
}

void Rounds::group_by_level() {
  for (const std::int8_t level : input_.levels) {
    if (level >= 0) {
      ++first_slot_[static_cast<std::size_t>(level) + 1];
    }
  }
  for (std::size_t level = 0; level < num_levels_; ++level) {
    first_slot_[level + 1] += first_slot_[level];
  }
  shares_.resize(first_slot_[num_levels_]);
  std::vector<std::size_t> next(first_slot_.begin(), first_slot_.end() - 1);
  for (std::size_t row = 0; row < input_.levels.size; ++row) {
    if (input_.levels[row] >= 0) {
      slot_[row] = static_cast<std::uint32_t>(next[static_cast<std::size_t>(input_.levels[row])]++);
    }
  }
}

void Rounds::play(std::size_t round, Monitor& monitor) {
  sampler_.draw(round, {drawn_.data(), drawn_.size()}, monitor);
  vote(monitor);
  set_rules(monitor);
  flag(monitor);
}

void Rounds::vote(Monitor& monitor) {
  parallel_chunks(
      drawn_.size(), kChunkRows, num_threads_, monitor,
      [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
        Ballot ballot(num_levels_);
        std::vector<std::uint8_t> levels(input_.indices.cols + 1);
        std::vector<float> weights(input_.indices.cols + 1);
        for (std::size_t row = begin; row < end; ++row) {
          if (drawn_[row] == kNotDrawn) {
            if (input_.levels[row] >= 0) {
              shares_[slot_[row]] = kNoShare;
            }
            continue;
          }
          const std::size_t counted = gather_counted(row, levels.data(), weights.data());
          const Opinion opinion = ballot.count(drawn_[row], levels.data(), weights.data(), counted);
          shares_[slot_[row]] = opinion.floored_share;
          suggested_[row] = opinion.suggested;
          ++votes_.seen[row];
        }
      });
}

/// Levels and weights of the row's first neighbours that the round drew. Written without a branch:
/// a tenth of the neighbours, at random, is not drawn, and has its place overwritten by the next
/// one.
std::size_t Rounds::gather_counted(std::size_t row, std::uint8_t* levels, float* weights) const {
  const std::int32_t* neighbours = input_.indices.row(row);
  const float* similarities = input_.similarities.row(row);
  std::size_t counted = 0;
  for (std::size_t rank = 0; rank < input_.indices.cols && counted < input_.num_counted; ++rank) {
    const std::uint8_t level = drawn_[static_cast<std::size_t>(neighbours[rank])];
    levels[counted] = level;
    weights[counted] = similarities[rank];
    counted += level != kNotDrawn ? 1U : 0U;
  }
  return counted;
}

void Rounds::set_rules(Monitor& monitor) {
  rules_.assign(num_levels_, RankRule());
  parallel_for(num_levels_, num_threads_, monitor, [&](std::size_t level, std::size_t /*worker*/) {
    if (std::isnan(input_.error_rates[level])) {
      return;
    }
    std::vector<double> shares;
    shares.reserve(first_slot_[level + 1] - first_slot_[level]);
    std::copy_if(shares_.begin() + static_cast<std::ptrdiff_t>(first_slot_[level]),
                 shares_.begin() + static_cast<std::ptrdiff_t>(first_slot_[level + 1]),
                 std::back_inserter(shares), [](double share) { return share != kNoShare; });
    if (!shares.empty()) {
      rules_[level] = RankRule(shares, input_.error_rates[level]);
    }
  });
}

void Rounds::flag(Monitor& monitor) {
  parallel_chunks(drawn_.size(), kChunkRows, num_threads_, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                    for (std::size_t row = begin; row < end; ++row) {
                      if (drawn_[row] != kNotDrawn && suggested_[row] != kUnanimous &&
                          rules_[drawn_[row]].flags(shares_[slot_[row]])) {
                        ++votes_.flagged[row];
                        ++votes_.suggestions.row(row)[suggested_[row]];
                      }
                    }
                  });
}

/// Turns the progress of a round's steps into that of the rounds, and passes it on at most every 50
/// ms.
class RoundMonitor final : public Monitor {
 public:
  RoundMonitor(Monitor& inner, std::size_t rounds) : poll_(inner), rounds_(rounds) {}

  void poll(std::size_t /*done*/, std::size_t /*total*/) override { poll_(finished_, rounds_); }

  void finish_round() { ++finished_; }

 private:
  PacedPoll poll_;
  std::size_t rounds_;
  std::size_t finished_ = 0;
};

}  // namespace

void simifeat_votes(const VoteInput& input, std::size_t num_threads, Monitor& monitor,
                    const Votes& votes) {
  std::fill(votes.seen.begin(), votes.seen.end(), 0);
  std::fill(votes.flagged.begin(), votes.flagged.end(), 0);
  std::fill_n(votes.suggestions.data, votes.suggestions.rows * votes.suggestions.cols, 0);
  RoundMonitor round_monitor(monitor, input.rounds);
  Rounds rounds(input, num_threads, votes);
  for (std::size_t round = 0; round < input.rounds; ++round) {
    rounds.play(round, round_monitor);
    round_monitor.finish_round();
  }
  monitor.poll(input.rounds, input.rounds);
}

}  // namespace ds2fast::curation
