// What lies beside the tensors of an .npz or a .pt and is none: texts, dates, Python objects, NumPy arrays in a pickle.
// It is copied byte for byte, and stands in TensorFile::metadata with one of these as its value.
#pragma once

#include <string_view>

namespace regauge {

inline constexpr std::string_view foreignArray = "an array that holds no numbers";
inline constexpr std::string_view foreignNumPy = "a NumPy array inside a pickle";

inline bool isForeign(std::string_view value) { return value == foreignArray || value == foreignNumPy; }

}  // namespace regauge
