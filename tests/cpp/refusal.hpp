// What a job is refused with. An Error(internal) is a defect and no refusal: it passes, as every other exception does.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "regauge/error.hpp"

namespace regauge::test {

struct Refusal {
    ErrorCode code;
    std::string message, where;
};
inline std::ostream& operator<<(std::ostream& out, const Refusal& refusal) {
    return out << name(refusal.code) << " " << refusal.message;
}

// Nothing where the job was done.
template <class Job>
std::optional<Refusal> refusalOf(const Job& job) {
    try {
        job();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::internal) throw;
        return Refusal{error.code(), error.what(), error.where()};
    }
    return std::nullopt;
}

// Of a job that must be refused.
template <class Job>
Refusal requireRefusal(const Job& job) {
    const std::optional<Refusal> refusal = refusalOf(job);
    REQUIRE(refusal);
    return *refusal;
}

template <class Job>
std::optional<ErrorCode> codeOf(const Job& job) {
    const std::optional<Refusal> refusal = refusalOf(job);
    return refusal ? std::optional(refusal->code) : std::nullopt;
}

// "code message", or "done".
template <class Job>
std::string outcomeOf(const Job& job) {
    const std::optional<Refusal> refusal = refusalOf(job);
    return refusal ? std::string(name(refusal->code)) + " " + refusal->message : "done";
}

}  // namespace regauge::test

template <>
struct Catch::StringMaker<std::optional<regauge::ErrorCode>> {
    static std::string convert(const std::optional<regauge::ErrorCode>& code) {
        return code ? std::string(name(*code)) : "not refused";
    }
};
