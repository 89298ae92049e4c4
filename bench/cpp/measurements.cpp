#include "measurements.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string_view>

#include "peaks.hpp"
#include "scanned_tile.hpp"
#include "simd/kernel_table.hpp"
#include "team.hpp"

namespace ds2fast::bench {
namespace {

constexpr std::size_t kDepths[] = {384, 768, 1024};
constexpr std::size_t kIterations = 10'000;  // of a peak loop between two looks at the clock
constexpr std::size_t kScans = 1'000;        // likewise

std::vector<std::size_t> thread_counts(const Settings& settings) {
  if (settings.threads == 1 || !settings.only.empty()) {
    return {settings.threads};
  }
  return {1, settings.threads};
}

[[noreturn]] void throw_unknown(const std::string& instruction) {
  std::string known;
  for (const PeakLoop& loop : available_peaks()) {
    known += (known.empty() ? "" : ", ") + std::string(loop.instruction);
  }
  throw std::invalid_argument("--only: expected one of the instructions that run here (" + known +
                              "), got '" + instruction + "'");
}

void check_scan(simd::Level level) {
  if (!ScannedTile(simd::kernels(level).scan_codes).is_right()) {
    throw std::runtime_error(std::string("the scan of ") + simd::name(level) +
                             " finds other pairs than a plain comparison");
  }
}

}  // namespace

void Peak::measure(double seconds) {
  const void* operands = peak_operands();
  const auto run = [&](std::size_t) { loop.run(kIterations, operands); };
  rates.add(rate_of_team(threads, seconds, run), static_cast<double>(kIterations * loop.macs));
}

Tile::Tile(simd::Level tile_level, std::size_t tile_depth, std::size_t num_threads)
    : level(tile_level), depth(tile_depth), threads(num_threads) {
  for (std::size_t thread = 0; thread < threads; ++thread) {
    panels.emplace_back(simd::kernels(level).codes, depth, static_cast<unsigned>(thread + 1));
    if (!panels.back().are_right()) {
      throw std::runtime_error(std::string("the tile of ") + simd::name(level) + ", depth " +
                               std::to_string(depth) + ", differs from a plain int64 sum");
    }
  }
}

void Tile::measure(double seconds) {
  const auto multiply = [&](std::size_t thread) { panels[thread].multiply(); };
  const auto macs = static_cast<double>(panels.front().macs());
  rates.add(rate_of_team(threads, seconds, multiply), macs);
}

void Scan::measure(double seconds) {
  std::vector<ScannedTile> tiles(threads, ScannedTile(simd::kernels(level).scan_codes));
  std::atomic<std::size_t> found{0};
  const auto scan = [&](std::size_t thread) { found += tiles[thread].scan(kScans); };
  rates.add(rate_of_team(threads, seconds, scan), static_cast<double>(kScans));
  if (found != 0) {
    throw std::runtime_error(std::string("the scan of ") + simd::name(level) +
                             " finds pairs below the thresholds");
  }
}

Measurements::Measurements(const Settings& settings) {
  for (const std::size_t threads : thread_counts(settings)) {
    add_peaks(settings, threads);
    if (settings.only.empty()) {
      add_tiles(threads);
    }
  }
  if (peaks_.empty() && !settings.only.empty()) {
    throw_unknown(settings.only);
  }
  for (std::size_t repeat = 0; repeat < settings.repeats; ++repeat) {
    measure_all(settings.seconds);
  }
}

void Measurements::add_peaks(const Settings& settings, std::size_t threads) {
  for (const PeakLoop& loop : available_peaks()) {
    if (settings.only.empty() || settings.only == loop.instruction) {
      peaks_.push_back({loop, threads});
    }
  }
}

void Measurements::add_tiles(std::size_t threads) {
  for (const simd::Level level : simd::available_levels()) {
    check_scan(level);
    scans_.push_back({level, threads});
    for (const std::size_t depth : kDepths) {
      tiles_.emplace_back(level, depth, threads);
    }
  }
}

void Measurements::measure_all(double seconds) {
  for (Peak& peak : peaks_) {
    if (!is_beside_a_tile(peak)) {
      peak.measure(seconds);
    }
  }
  for (Tile& tile : tiles_) {
    if (Peak* peak = peak_beside(tile)) {
      peak->measure(seconds);
    }
    tile.measure(seconds);
  }
  for (Scan& scan : scans_) {
    scan.measure(seconds / 3);
  }
}

Peak* Measurements::peak_beside(const Tile& tile) {
  const std::string_view instruction = int8_instruction(tile.level);
  const auto found = std::find_if(peaks_.begin(), peaks_.end(), [&](const Peak& peak) {
    return instruction == peak.loop.instruction && tile.threads == peak.threads;
  });
  return found == peaks_.end() ? nullptr : &*found;
}

bool Measurements::is_beside_a_tile(const Peak& peak) const {
  return std::any_of(tiles_.begin(), tiles_.end(), [&](const Tile& tile) {
    return int8_instruction(tile.level) == peak.loop.instruction && tile.threads == peak.threads;
  });
}

}  // namespace ds2fast::bench
