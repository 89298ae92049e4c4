// Measures the peak of this processor by instruction, and the int8 tile of every SIMD level that
// runs here. ../roofline.py builds and runs it, and compares the whole search.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include "measurements.hpp"
#include "report.hpp"

namespace {

using ds2fast::bench::Measurements;
using ds2fast::bench::Settings;

constexpr const char* kUsage =
    "usage: roofline [--threads T] [--seconds S] [--repeats R] [--only INSTRUCTION]";
constexpr double kMostSeconds = 60;
constexpr double kMostRepeats = 1000;
constexpr double kMostThreads = 1024;

double number(const std::string& name, const char* value, double most) {
  char* end = nullptr;
  const double found = std::strtod(value, &end);
  if (end == value || *end != '\0' || !(found > 0) || found > most) {
    throw std::invalid_argument(name + ": expected a number above 0, at most " +
                                std::to_string(static_cast<int>(most)) + ", got '" + value + "'");
  }
  return found;
}

std::size_t count(const std::string& name, const char* value, double most) {
  const double found = number(name, value, most);
  if (found != std::floor(found)) {
    throw std::invalid_argument(name + ": expected a whole number, got '" + value + "'");
  }
  return static_cast<std::size_t>(found);
}

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) {
      throw std::invalid_argument(name + ": expected a value behind it\n" + kUsage);
    }
    const char* value = argv[i + 1];
    if (name == "--threads") {
      settings.threads = count(name, value, kMostThreads);
    } else if (name == "--seconds") {
      settings.seconds = number(name, value, kMostSeconds);
    } else if (name == "--repeats") {
      settings.repeats = count(name, value, kMostRepeats);
    } else if (name == "--only") {
      settings.only = value;
    } else {
      throw std::invalid_argument("unknown argument '" + name + "'\n" + kUsage);
    }
  }
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Settings settings = parse(argc, argv);
    print_json(settings, Measurements(settings));
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "roofline: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "roofline: %s\n", error.what());
    return 1;
  }
}
