#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

namespace ds2fast::knn {

/// Hands out all pairs (a, b), a <= b, of blocks so that no block is in two hands at once: each
/// pair feeds the candidates of both its blocks. First the pairs of a block with itself, then the
/// rounds of a tournament.
class PairSchedule {
 public:
  struct Pair {
    std::size_t a;
    std::size_t b;
  };

  /// A pair in hand; its blocks are free again when this goes.
  class Lease {
   public:
    Lease(PairSchedule& schedule, Pair pair) : schedule_(schedule), pair_(pair) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { schedule_.release(pair_); }
    Pair pair() const { return pair_; }

   private:
    PairSchedule& schedule_;
    Pair pair_;
  };

  explicit PairSchedule(std::size_t num_blocks);

  std::size_t num_pairs() const { return pairs_.size(); }

  /// The next pair whose blocks are both free; waits for one. To be called num_pairs() times in
  /// all.
  Lease acquire();

 private:
  std::size_t find_free() const;
  void release(Pair pair);

  std::vector<Pair> pairs_;
  std::vector<char> taken_;  // by pair
  std::vector<char> busy_;   // by block
  std::size_t first_open_ = 0;
  std::mutex mutex_;
  std::condition_variable released_;
};

}  // namespace ds2fast::knn
