#pragma once

// A test harness of a page: TEST(name) { CHECK(condition); } in any number of files of one
// executable.

#include <cstdio>
#include <exception>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

inline void report(bool passed, const char* text, const char* file, int line) {
  if (!passed) {
    ++failures();
    std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", file, line, text);
  }
}

/// Runs every test; 1 if any check failed or any test threw.
inline int run_all() {
  int failed = 0;
  for (const Case& test : cases()) {
    failures() = 0;
    try {
      test.body();
    } catch (const std::exception& error) {
      ++failures();
      std::fprintf(stderr, "%s threw: %s\n", test.name, error.what());
    }
    failed += failures() > 0;
    std::printf("%s %s\n", failures() > 0 ? "FAIL" : "ok  ", test.name);
  }
  std::printf("%zu passed, %d failed\n", cases().size() - static_cast<std::size_t>(failed), failed);
  return failed > 0 || cases().empty() ? 1 : 0;
}

}  // namespace check

#define CHECK(condition) check::report(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
#define CHECK_THROWS(statement, type)                                       \
  do {                                                                      \
    bool caught = false;                                                    \
    try {                                                                   \
      statement;                                                            \
    } catch (const type&) {                                                 \
      caught = true;                                                        \
    }                                                                       \
    check::report(caught, #statement " throws " #type, __FILE__, __LINE__); \
  } while (false)
#define TEST(name)                                              \
  static void name();                                           \
  static const check::Register name##_registered(#name, &name); \
  static void name()
