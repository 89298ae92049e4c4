#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace ds2fast {

/// Values that begin at a cache line.
template <typename T>
class AlignedArray {
 public:
  AlignedArray() = default;

  static AlignedArray zeros(std::size_t size) { return AlignedArray(new (kLine) T[size]()); }
  /// For who writes every value first.
  static AlignedArray unset(std::size_t size) { return AlignedArray(new (kLine) T[size]); }

  T* data() const { return values_.get(); }

 private:
  static constexpr std::align_val_t kLine{64};  ///< a vector across two lines is read twice
  struct Free {
    void operator()(T* values) const { operator delete[](values, kLine); }
  };

  explicit AlignedArray(T* values) : values_(values) {}

  std::unique_ptr<T[], Free> values_;
};

}  // namespace ds2fast
