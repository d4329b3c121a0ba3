// The whitelist: which Python globals a tensor file may name, and what each stands for here. Nothing is imported or
// called.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "regauge/tensor.hpp"

namespace regauge {

enum class GlobalRole {
    dict,           // OrderedDict, Counter, defaultdict
    firstArgument,  // torch.Size((..)), set([..]), _codecs.encode(text, ..)
    parameter,      // a tensor wrapped
    tensor,         // (storage, offset, size, stride, ..)
    tensorOfBytes,  // the same over an untyped storage, with its dtype
    opaque,         // devices, layouts, NumPy scalars: values of no interest
    array,          // a NumPy array: it is named, and not read
    notCallable,    // storage types and dtypes
};

bool isAllowedGlobal(std::string_view name);
GlobalRole globalRole(std::string_view name);
// torch.FloatStorage, torch.cuda.HalfStorage, torch.storage.UntypedStorage
bool isStorageType(std::string_view name);
// Nothing for untyped storages. Throws Error(unsupported) for element types that regauge does not have.
std::optional<Dtype> storageDtype(std::string_view name, const std::string& where);
// "torch.float8_e4m3fn". Throws Error(unsupported).
Dtype torchDtype(std::string_view name, const std::string& where);

}  // namespace regauge
