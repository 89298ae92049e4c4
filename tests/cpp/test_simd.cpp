#include "check.hpp"
TEST(placeholder) { CHECK(true); }
