#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "core/sampling_keys.hpp"

namespace ds2fast::curation {

/// What a row that a round did not draw has in place of its level.
constexpr std::uint8_t kNotDrawn = 0xFF;

/// Draws floor(0.9 * rated) rows a round without replacement: the rated rows with the smallest
/// keys, ties by the smaller row number. O(N) a round: the keys' leading bits are counted first,
/// and only the rows of the one bin that holds the limit are sorted.
class RoundSampler {
 public:
  /// `levels` (N) in [-1, 127), -1 for unrated; must outlive the sampler.
  RoundSampler(VectorView<const std::int8_t> levels, std::uint64_t seed, std::size_t num_threads);

  /// Writes the level of each drawn row, kNotDrawn for every other row, to `drawn` (N).
  void draw(std::size_t round, VectorView<std::uint8_t> drawn, Monitor& monitor);

 private:
  struct Candidate {
    std::uint64_t key;
    std::size_t row;
  };

  void count_keys(const SamplingKeys& keys, Monitor& monitor);
  std::size_t find_limit_bin(std::size_t& room) const;
  void draw_below(std::size_t limit_bin, const SamplingKeys& keys, VectorView<std::uint8_t> drawn,
                  Monitor& monitor);
  std::vector<Candidate> sorted_candidates() const;

  VectorView<const std::int8_t> levels_;
  std::uint64_t seed_;
  std::size_t num_threads_;
  std::size_t num_drawn_;
  std::vector<std::vector<std::size_t>> bins_;  ///< of each worker
  std::vector<std::vector<Candidate>>
      limit_candidates_;  ///< of each worker: rows of the limit's bin
};

}  // namespace ds2fast::curation
