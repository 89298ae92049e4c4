#include "knn/descent.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "core/parallel_for.hpp"

namespace ds2fast::knn {
namespace {

constexpr std::size_t kChunk = 512;

/// Which places were met for the row at hand: a hash table, which stays in cache and is so empty
/// that few looks go on to a second slot.
class Met {
 public:
  explicit Met(std::size_t most) {
    std::size_t size = 2;
    for (; size < 8 * most; size *= 2) {
      --shift_;
    }
    slots_.resize(size);
  }

  void forget_all() {
    if (++stamp_ == 0) {
      std::fill(slots_.begin(), slots_.end(), 0U);
      stamp_ = 1;
    }
  }
  /// Whether it is the first time.
  bool meet(std::uint32_t place) {
    constexpr std::uint32_t kGolden = 0x9E3779B1U;  // spreads neighbouring places
    const std::uint64_t entry = std::uint64_t{stamp_} << 32U | place;
    std::size_t at = (place * kGolden) >> shift_;
    while (slots_[at] != entry && slots_[at] >> 32U == stamp_) {
      at = (at + 1) & (slots_.size() - 1);
    }
    const bool is_first = slots_[at] != entry;
    slots_[at] = entry;
    return is_first;
  }

 private:
  std::vector<std::uint64_t> slots_;  ///< the stamp of a row, and a place
  std::uint32_t shift_ = 31;          ///< from a hash to the number of a slot
  std::uint32_t stamp_ = 0;
};

/// One worker's own.
class Walker {
 public:
  Walker(const CodeRows& rows, const ConstNeighbourLists& from, std::size_t num_heard,
         const simd::KernelTable& kernels)
      : rows_(rows),
        from_(from),
        num_heard_(std::min(num_heard, from.width())),
        kernels_(kernels),
        met_(1 + from.width() + num_heard_ * num_heard_) {}

  /// Entries that came.
  std::size_t walk(std::size_t place, const ListRow& list) {
    const std::uint32_t* entries = from_.entries.row(place);
    std::copy_n(from_.similarities.row(place), list.width, list.similarities);
    std::transform(entries, entries + list.width, list.entries, place_of);
    find_others(place, entries);
    return offer_all(place, list);
  }

 private:
  void find_others(std::size_t place, const std::uint32_t* entries) {
    others_.clear();
    met_.forget_all();
    met_.meet(static_cast<std::uint32_t>(place));
    for (std::size_t i = 0; i < from_.width() && place_of(entries[i]) != kNoPlace; ++i) {
      met_.meet(place_of(entries[i]));
    }
    for (std::size_t i = 0; i < num_heard_ && place_of(entries[i]) != kNoPlace; ++i) {
      const std::uint32_t* further = from_.entries.row(place_of(entries[i]));
      for (std::size_t j = 0; j < num_heard_ && place_of(further[j]) != kNoPlace; ++j) {
        if (((entries[i] | further[j]) & kIsNew) != 0 && met_.meet(place_of(further[j]))) {
          others_.push_back(place_of(further[j]));
        }
      }
    }
  }

  std::size_t offer_all(std::size_t place, const ListRow& list) {
    std::size_t came = 0;
    const std::int8_t* codes = rows_.codes.row(place);
    for (std::size_t first = 0; first < others_.size(); first += simd::kDotsAtOnce) {
      const std::size_t count = std::min(simd::kDotsAtOnce, others_.size() - first);
      prefetch(first + simd::kDotsAtOnce);
      const std::int8_t* others[simd::kDotsAtOnce];
      for (std::size_t i = 0; i < simd::kDotsAtOnce; ++i) {
        others[i] = rows_.codes.row(others_[first + std::min(i, count - 1)]);
      }
      std::int32_t products[simd::kDotsAtOnce];
      kernels_.code_dots(codes, others, rows_.depth(), products);
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t other = others_[first + i];
        came += list.offer(other, code_similarity(rows_, place, other, products[i])) ? 1 : 0;
      }
    }
    return came;
  }

  /// Asks for the codes of the next few.
  void prefetch(std::size_t first) const {
    constexpr std::size_t kLine = 64;
    for (std::size_t i = first; i < std::min(first + simd::kDotsAtOnce, others_.size()); ++i) {
      const std::int8_t* codes = rows_.codes.row(others_[i]);
      for (std::size_t k = 0; k < rows_.depth(); k += kLine) {
        __builtin_prefetch(codes + k);
      }
    }
  }

  const CodeRows& rows_;
  const ConstNeighbourLists& from_;
  std::size_t num_heard_;
  const simd::KernelTable& kernels_;
  Met met_;
  std::vector<std::uint32_t> others_;
};

}  // namespace

std::size_t descend(const CodeRows& rows, const ConstNeighbourLists& from, std::size_t first,
                    std::size_t num_heard, const NeighbourLists& to,
                    const simd::KernelTable& kernels, std::size_t num_threads, Monitor& monitor) {
  std::vector<std::unique_ptr<Walker>> walkers(num_threads);
  std::vector<std::size_t> came(num_threads);
  parallel_chunks(to.entries.rows, kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    auto& walker = walkers[worker];
                    if (!walker) {
                      walker = std::make_unique<Walker>(rows, from, num_heard, kernels);
                    }
                    for (std::size_t i = begin; i < end; ++i) {
                      const ListRow list{to.entries.row(i), to.similarities.row(i), to.width()};
                      came[worker] += walker->walk(first + i, list);
                    }
                  });
  return std::accumulate(came.begin(), came.end(), std::size_t{0});
}

}  // namespace ds2fast::knn
