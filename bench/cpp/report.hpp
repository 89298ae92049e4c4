#pragma once

#include "measurements.hpp"

namespace ds2fast::bench {

/// Prints the measurements as one JSON object, rates in 10^9 a second.
void print_json(const Settings& settings, const Measurements& measured);

}  // namespace ds2fast::bench
