#include "report.hpp"

#include <cstdio>
#include <string>
#include <string_view>

#include "peaks.hpp"

namespace ds2fast::bench {
namespace {

constexpr double kGiga = 1e9;

void print_rates(const Rates& rates) {
  std::printf("\"gmacs_best\": %.3f, \"cpu_share\": %.3f, \"gmacs_median\": %.3f",
              rates.best().per_second / kGiga, rates.best().cpu_share, rates.median() / kGiga);
}

/// Names have no characters that JSON escapes.
void print_instruction(std::string_view instruction) {
  if (instruction.empty()) {
    std::printf("\"instruction\": null");
  } else {
    std::printf("\"instruction\": \"%s\"", std::string(instruction).c_str());
  }
}

void print(const Peak& peak) {
  std::printf("{");
  print_instruction(peak.loop.instruction);
  std::printf(", \"threads\": %zu, ", peak.threads);
  print_rates(peak.rates);
  std::printf("}");
}

/// What one of them takes a thread, at the best rate of all threads together.
void print_nanoseconds(double rate, std::size_t threads) {
  std::printf("\"nanoseconds\": %.1f", kGiga * static_cast<double>(threads) / rate);
}

void print(const Tile& tile) {
  std::printf("{\"level\": \"%s\", ", simd::name(tile.level));
  print_instruction(int8_instruction(tile.level));
  std::printf(", \"depth\": %zu, \"threads\": %zu, ", tile.depth, tile.threads);
  print_rates(tile.rates);
  std::printf(", ");
  const auto macs = static_cast<double>(simd::kTileSize * tile.depth);
  print_nanoseconds(tile.rates.best().per_second / macs, tile.threads);
  std::printf("}");
}

void print(const Scan& scan) {
  std::printf("{\"level\": \"%s\", \"threads\": %zu, ", simd::name(scan.level), scan.threads);
  print_nanoseconds(scan.rates.best().per_second, scan.threads);
  std::printf("}");
}

template <typename Item>
void print_list(const char* name, const std::vector<Item>& items) {
  std::printf(",\n\"%s\": [", name);
  const char* separator = "\n ";
  for (const Item& item : items) {
    std::printf("%s", separator);
    print(item);
    separator = ",\n ";
  }
  std::printf("]");
}

}  // namespace

void print_json(const Settings& settings, const Measurements& measured) {
  std::printf(
      "{\"unit\": \"1e9 multiply-adds per second\", \"threads\": %zu, \"seconds\": %g, "
      "\"repeats\": %zu",
      settings.threads, settings.seconds, settings.repeats);
  print_list("peaks", measured.peaks());
  print_list("tiles", measured.tiles());
  print_list("scans", measured.scans());
  std::printf("}\n");
}

}  // namespace ds2fast::bench
