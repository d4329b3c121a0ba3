// One exception type for everything that regauge refuses.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace regauge {

// Every way in which regauge refuses. The names below are what JavaScript sees as `RegaugeError.code`; this list is the
// only table of them.
#define REGAUGE_ERROR_CODES(X)                                                  \
    X(usage)             /* the call's words are off */                         \
    X(missingFile)       /* an input is not there or cannot be opened */        \
    X(outputExists)      /* an output is there already; --force overwrites */   \
    X(writeFailed)       /* the disk is full, or the folder is not writable */  \
    X(truncated)         /* a file ends before its header says it does */       \
    X(malformed)         /* a file contradicts its own format */                \
    X(unsupported)       /* understood, and outside what regauge can do */      \
    X(wrongDtype)        /* a tensor's element type does not fit its role */    \
    X(shapeMismatch)     /* a tensor's shape does not fit its role */           \
    X(rowsMismatch)      /* rows of source and target do not pair */            \
    X(tokensDiffer)      /* rows pair by position but not by token */           \
    X(notFinite)         /* NaN or infinity where numbers are needed */         \
    X(dimensionMismatch) /* widths or models do not fit together */             \
    X(invalidGauge)      /* no signed permutation, or not what it says it is */ \
    X(undeterminedSign)  /* signs are needed, and the gauge has none */         \
    X(unknownTensor)     /* no recipe says how a tensor moves */                \
    X(ambiguous)         /* two readings fit; a flag must choose */             \
    X(unrelated)         /* the gauge's own verdict forbids using it */         \
    X(tooLarge)          /* beyond a limit, or would not fit in memory */       \
    X(cancelled)         /* the caller asked to stop */                         \
    X(internal)          /* a defect of regauge */

enum class ErrorCode {
#define REGAUGE_ENUMERATOR(name) name,
    REGAUGE_ERROR_CODES(REGAUGE_ENUMERATOR)
#undef REGAUGE_ENUMERATOR
};

// The code's name, e.g. "notFinite".
std::string_view name(ErrorCode code);

// A refusal: what was expected, what was found and what to do, in one sentence, and where.
// `what()` is "where: sentence", or the sentence alone where there is no place.
class Error : public std::exception {
public:
    // where: a file, a tensor in it, or empty. sentence: without a trailing newline.
    Error(ErrorCode code, std::string where, std::string sentence);

    ErrorCode code() const noexcept { return code_; }
    const std::string& where() const noexcept { return where_; }
    const char* what() const noexcept override { return message_.c_str(); }

private:
    ErrorCode code_;
    std::string where_;
    std::string message_;
};

}  // namespace regauge
