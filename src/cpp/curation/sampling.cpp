#include "curation/sampling.hpp"

#include <algorithm>

#include "core/parallel_for.hpp"

namespace ds2fast::curation {
namespace {

constexpr double kSampledShare = 0.9;
constexpr unsigned kBinBits = 12;
constexpr std::size_t kNumBins = std::size_t{1} << kBinBits;
constexpr std::size_t kChunkRows = 16384;

std::size_t bin_of(std::uint64_t key) {
  return static_cast<std::size_t>(key >> (64 - kBinBits));
}

}  // namespace

RoundSampler::RoundSampler(VectorView<const std::int8_t> levels, std::uint64_t seed,
                           std::size_t num_threads)
    : levels_(levels),
      seed_(seed),
      num_threads_(num_threads),
      bins_(num_threads),
      limit_candidates_(num_threads) {
  const auto num_rated =
      std::count_if(levels.begin(), levels.end(), [](std::int8_t level) { return level >= 0; });
  num_drawn_ = static_cast<std::size_t>(kSampledShare * static_cast<double>(num_rated));
}

void RoundSampler::draw(std::size_t round, VectorView<std::uint8_t> drawn, Monitor& monitor) {
  const SamplingKeys keys(seed_, round);
  count_keys(keys, monitor);
  std::size_t room = num_drawn_;
  const std::size_t limit_bin = find_limit_bin(room);
  draw_below(limit_bin, keys, drawn, monitor);
  const std::vector<Candidate> candidates = sorted_candidates();
  for (std::size_t rank = 0; rank < room; ++rank) {
    const std::size_t row = candidates[rank].row;
    drawn[row] = static_cast<std::uint8_t>(levels_[row]);
  }
}

void RoundSampler::count_keys(const SamplingKeys& keys, Monitor& monitor) {
  for (std::vector<std::size_t>& bins : bins_) {
    std::fill(bins.begin(), bins.end(), 0);
  }
  parallel_chunks(levels_.size, kChunkRows, num_threads_, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    std::vector<std::size_t>& bins = bins_[worker];
                    bins.resize(kNumBins);
                    for (std::size_t row = begin; row < end; ++row) {
                      bins[bin_of(keys(row))] += levels_[row] >= 0 ? 1U : 0U;
                    }
                  });
}

/// The bin in which the draw ends; lowers `room` to the number of rows to take from that bin.
std::size_t RoundSampler::find_limit_bin(std::size_t& room) const {
  for (std::size_t bin = 0; bin < kNumBins; ++bin) {
    std::size_t in_bin = 0;
    for (const std::vector<std::size_t>& bins : bins_) {
      in_bin += bins.empty() ? 0 : bins[bin];
    }
    if (room < in_bin) {
      return bin;
    }
    room -= in_bin;
  }
  return kNumBins;
}

void RoundSampler::draw_below(std::size_t limit_bin, const SamplingKeys& keys,
                              VectorView<std::uint8_t> drawn, Monitor& monitor) {
  for (std::vector<Candidate>& candidates : limit_candidates_) {
    candidates.clear();
  }
  parallel_chunks(levels_.size, kChunkRows, num_threads_, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    for (std::size_t row = begin; row < end; ++row) {
                      const std::uint64_t key = keys(row);
                      const std::size_t bin = bin_of(key);
                      // An unrated row's level, -1, is kNotDrawn as it stands.
                      const auto level = static_cast<std::uint8_t>(levels_[row]);
                      drawn[row] = bin < limit_bin ? level : kNotDrawn;
                      if (bin == limit_bin && level != kNotDrawn) {
                        limit_candidates_[worker].push_back({key, row});
                      }
                    }
                  });
}

std::vector<RoundSampler::Candidate> RoundSampler::sorted_candidates() const {
  std::vector<Candidate> candidates;
  for (const std::vector<Candidate>& found : limit_candidates_) {
    candidates.insert(candidates.end(), found.begin(), found.end());
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& x, const Candidate& y) {
    return x.key != y.key ? x.key < y.key : x.row < y.row;
  });
  return candidates;
}

}  // namespace ds2fast::curation
