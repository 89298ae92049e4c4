#pragma once

#include <string_view>
#include <vector>

#include "peak_loop.hpp"
#include "simd/level.hpp"

namespace ds2fast::bench {

/// The loops whose instructions this build, the processor and the operating system all have.
std::vector<PeakLoop> available_peaks();

/// The instruction of the loop that bounds the int8 tile of a level; empty where none is known.
std::string_view int8_instruction(simd::Level level);

/// Operands for all loops, kOperandBytes of them: as floats and bfloat16s from 1 to 2, so that sums
/// neither overflow nor become denormal; as bytes of either sign.
const void* peak_operands();

}  // namespace ds2fast::bench
