#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "panels.hpp"
#include "peak_loop.hpp"
#include "rates.hpp"
#include "simd/level.hpp"

namespace ds2fast::bench {

/// What is measured and for how long.
struct Settings {
  std::size_t threads = 1;
  double seconds = 0.3;     ///< of each measurement
  std::size_t repeats = 3;  ///< of all of them, in turns
  std::string only;         ///< instruction whose peak alone is measured; empty for all there is
};

/// Peak of an instruction on some threads, in multiply-adds a second.
struct Peak {
  PeakLoop loop;
  std::size_t threads;
  Rates rates{};

  void measure(double seconds);
};

/// The tile of a level at a depth, each thread with panels of its own, in multiply-adds a second.
struct Tile {
  simd::Level level;
  std::size_t depth;
  std::size_t threads;
  std::vector<Panels> panels;
  Rates rates{};

  Tile(simd::Level tile_level, std::size_t tile_depth, std::size_t num_threads);
  void measure(double seconds);
};

/// The scan of a tile's products by a level, in tiles a second.
struct Scan {
  simd::Level level;
  std::size_t threads;
  Rates rates{};

  void measure(double seconds);
};

/// All measurements, on one thread and on all that are given (of one instruction: on all only).
///
/// The host may be shared and drift: all are taken in turns, and the peak that a tile is compared
/// with right before that tile.
class Measurements {
 public:
  /// Throws std::invalid_argument for an instruction that is not to be had here, std::runtime_error
  /// for a level whose results are wrong.
  explicit Measurements(const Settings& settings);

  const std::vector<Peak>& peaks() const { return peaks_; }
  const std::vector<Tile>& tiles() const { return tiles_; }
  const std::vector<Scan>& scans() const { return scans_; }

 private:
  void add_peaks(const Settings& settings, std::size_t threads);
  void add_tiles(std::size_t threads);
  void measure_all(double seconds);
  Peak* peak_beside(const Tile& tile);
  bool is_beside_a_tile(const Peak& peak) const;

  std::vector<Peak> peaks_;
  std::vector<Tile> tiles_;
  std::vector<Scan> scans_;
};

}  // namespace ds2fast::bench
