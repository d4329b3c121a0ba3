#include "io/pickle_globals.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "regauge/error.hpp"

namespace regauge {
namespace {

struct Callable {
    std::string_view name;
    GlobalRole role;
};
constexpr Callable callables[] = {
    {"collections.OrderedDict", GlobalRole::dict},
    {"collections.Counter", GlobalRole::dict},
    {"collections.defaultdict", GlobalRole::dict},
    {"builtins.list", GlobalRole::opaque},  // as a defaultdict's factory
    {"__builtin__.list", GlobalRole::opaque},
    {"builtins.int", GlobalRole::opaque},
    {"__builtin__.int", GlobalRole::opaque},
    {"builtins.float", GlobalRole::opaque},
    {"__builtin__.float", GlobalRole::opaque},
    {"builtins.dict", GlobalRole::dict},
    {"__builtin__.dict", GlobalRole::dict},
    {"builtins.set", GlobalRole::firstArgument},
    {"__builtin__.set", GlobalRole::firstArgument},
    {"builtins.bytearray", GlobalRole::opaque},
    {"builtins.complex", GlobalRole::opaque},
    {"__builtin__.bytearray", GlobalRole::opaque},
    {"__builtin__.complex", GlobalRole::opaque},
    {"_codecs.encode", GlobalRole::firstArgument},
    {"torch.Size", GlobalRole::firstArgument},
    {"torch.device", GlobalRole::opaque},
    {"torch.serialization._get_layout", GlobalRole::opaque},
    {"torch._utils._rebuild_tensor", GlobalRole::tensor},
    {"torch._utils._rebuild_tensor_v2", GlobalRole::tensor},
    {"torch._utils._rebuild_tensor_v3", GlobalRole::tensorOfBytes},
    {"torch._utils._rebuild_parameter", GlobalRole::parameter},
    {"torch._utils._rebuild_parameter_with_state", GlobalRole::parameter},
    {"numpy.core.multiarray.scalar", GlobalRole::opaque},
    {"numpy._core.multiarray.scalar", GlobalRole::opaque},
    {"numpy.dtype", GlobalRole::opaque},
    {"numpy.ndarray", GlobalRole::opaque},  // as an argument of the next
    {"numpy.core.multiarray._reconstruct", GlobalRole::array},
    {"numpy._core.multiarray._reconstruct", GlobalRole::array},
};

// Element types by PyTorch's two spellings; nothing: known to PyTorch, not to regauge.
struct Element {
    std::string_view storage;
    std::string_view dtype;
    std::optional<Dtype> type;
};
constexpr Element elements[] = {
    {"FloatStorage", "float32", Dtype::F32},
    {"DoubleStorage", "float64", Dtype::F64},
    {"HalfStorage", "float16", Dtype::F16},
    {"BFloat16Storage", "bfloat16", Dtype::BF16},
    {"LongStorage", "int64", Dtype::I64},
    {"IntStorage", "int32", Dtype::I32},
    {"ShortStorage", "int16", Dtype::I16},
    {"CharStorage", "int8", Dtype::I8},
    {"ByteStorage", "uint8", Dtype::U8},
    {"BoolStorage", "bool", Dtype::BOOL},
    {"ComplexFloatStorage", "complex64", Dtype::C64},
    {"ComplexDoubleStorage", "complex128", std::nullopt},
    {"QInt8Storage", "qint8", std::nullopt},
    {"QUInt8Storage", "quint8", std::nullopt},
    {"QInt32Storage", "qint32", std::nullopt},
    {"", "uint16", Dtype::U16},
    {"", "uint32", Dtype::U32},
    {"", "uint64", Dtype::U64},
    {"", "float8_e4m3fn", Dtype::F8_E4M3},
    {"", "float8_e5m2", Dtype::F8_E5M2},
    {"", "float8_e4m3fnuz", std::nullopt},
    {"", "float8_e5m2fnuz", std::nullopt},
    {"", "float8_e8m0fnu", std::nullopt},
    {"", "float4_e2m1fn_x2", std::nullopt},
    {"", "complex32", std::nullopt},
};

constexpr std::string_view untyped[] = {"torch.storage.UntypedStorage", "torch.UntypedStorage",
                                        "torch.storage._UntypedStorage"};

const Element* storageElement(std::string_view name) {
    for (const std::string_view module : {"torch.cuda.", "torch."}) {
        if (!name.starts_with(module)) continue;
        const std::string_view rest = name.substr(module.size());
        const auto found = std::find_if(std::begin(elements), std::end(elements), [&](const Element& element) {
            return !rest.empty() && element.storage == rest;
        });
        if (found != std::end(elements)) return &*found;
    }
    return nullptr;
}

const Element* dtypeElement(std::string_view name) {
    if (!name.starts_with("torch.")) return nullptr;
    const auto found = std::find_if(std::begin(elements), std::end(elements),
                                    [&](const Element& element) { return element.dtype == name.substr(6); });
    return found == std::end(elements) ? nullptr : &*found;
}

[[noreturn]] void unsupportedElement(std::string_view name, const std::string& where) {
    throw Error(ErrorCode::unsupported, where,
                "elements of type " + std::string(name) +
                    " are not understood; convert the tensor to float32, float16 or bfloat16 first");
}

}  // namespace

bool isStorageType(std::string_view name) {
    return storageElement(name) != nullptr ||
           std::find(std::begin(untyped), std::end(untyped), name) != std::end(untyped);
}

bool isAllowedGlobal(std::string_view name) {
    const bool callable = std::any_of(std::begin(callables), std::end(callables),
                                      [&](const Callable& entry) { return entry.name == name; });
    return callable || isStorageType(name) || dtypeElement(name) != nullptr;
}

GlobalRole globalRole(std::string_view name) {
    const auto found = std::find_if(std::begin(callables), std::end(callables),
                                    [&](const Callable& entry) { return entry.name == name; });
    return found == std::end(callables) ? GlobalRole::notCallable : found->role;
}

std::optional<Dtype> storageDtype(std::string_view name, const std::string& where) {
    const Element* element = storageElement(name);
    if (element == nullptr) return std::nullopt;
    if (!element->type) unsupportedElement(name, where);
    return element->type;
}

Dtype torchDtype(std::string_view name, const std::string& where) {
    const Element* element = dtypeElement(name);
    if (element == nullptr || !element->type) unsupportedElement(name, where);
    return *element->type;
}

}  // namespace regauge
