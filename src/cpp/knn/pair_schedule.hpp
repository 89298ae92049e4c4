#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

namespace ds2fast::knn {

/// Hands out all pairs (a, b), a <= b, of blocks so that no block is in two hands at once: each
/// pair feeds the candidates of both its blocks. First the pairs of a block with itself, then the
/// rounds of a tournament. Or, of blocks of two sides, those pairs alone that lie across. Holds no
/// list of pairs: there may be millions.
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

  /// Pairs of a block of the left side, [0, num_left), and one of the right side, which follow.
  PairSchedule(std::size_t num_left, std::size_t num_right);

  std::size_t num_pairs() const { return num_pairs_; }

  /// The next pair whose blocks are both free; waits for one. To be called num_pairs() times in
  /// all.
  Lease acquire();

 private:
  bool take_free(Pair& pair);
  bool is_free(Pair pair) const { return !busy_[pair.a] && !busy_[pair.b]; }
  Pair pair_at(std::size_t index) const;
  Pair pair_among(std::size_t index) const;
  Pair pair_across(std::size_t index) const;
  void release(Pair pair);

  std::size_t num_blocks_;
  std::size_t num_left_;  // 0 where all blocks are of one side
  std::size_t num_pairs_;
  std::size_t next_ = 0;       // pairs before this one were handed out or deferred
  std::deque<Pair> deferred_;  // one of their blocks was in hand when it was their turn
  std::vector<char> busy_;     // by block
  std::mutex mutex_;
  std::condition_variable released_;
};

}  // namespace ds2fast::knn
