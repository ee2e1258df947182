"""What logs say when something breaks: the wording of Python, the shells, the schedulers and the frameworks.

A pattern is tried on the lines of exceptions and on every other line that holds one of the hint's words. `weight` says
how much a match tells by itself: "CUDA out of memory" is the whole story, "KeyError" hardly the beginning of one.
"""

from __future__ import annotations

import re

from msgspec import Struct


class Pattern(Struct, frozen=True):
    """where: "any" line, or "exception": only lines of an exception. next: what to do."""

    kind: str
    weight: float
    regex: re.Pattern[str]
    next: tuple[str, ...] = ()
    where: str = "any"


def _p(kind: str, weight: float, pattern: str, *next: str, where: str = "any", flags: int = 0) -> Pattern:
    return Pattern(kind, weight, re.compile(pattern, flags), next, where)


_SMALLER = (
    "Lower the batch size (or the sequence length or image size), and use gradient accumulation to keep the effective "
    "batch.",
    "Mixed precision or activation checkpointing need less memory; look with nvidia-smi whether another process holds "
    "some.",
)
_LESS_RAM = (
    "Load the data in pieces (memory-mapped arrays, streaming), or use fewer loader workers.",
    "Ask the scheduler or the container for more memory.",
)
_ROOM = ("Free some space where the run writes (`df -h`, `df -i`), or keep fewer checkpoints.", "Then retry the run.")
_NAN = (
    "Lower the learning rate or warm up longer, clip gradients, and use bfloat16 or float32 where float16 overflows.",
    "torch.autograd.set_detect_anomaly(True) names the operation that made the first NaN.",
)
_NETWORK = (
    "Check the machine's network and proxy; on a node without one download beforehand and set HF_HUB_OFFLINE=1.",
)
_RANKS = (
    "Look for the rank that failed first: its own error is the cause, the others only lost it.",
    "NCCL_DEBUG=INFO and TORCH_DISTRIBUTED_DEBUG=DETAIL say more.",
)
_SYNC = ("Run once with CUDA_LAUNCH_BLOCKING=1: the traceback then names the true line.",)

PATTERNS: list[Pattern] = [
    # --- memory ----------------------------------------------------------------------------------------------------
    _p(
        "gpu_memory",
        96,
        r"(?:CUDA|HIP|XPU|MPS backend|cuMem\w+|cudaMalloc\w*)(?: error)?:? (?:failed: )?(?:ran )?out of memory"
        r"|CUDA_?ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED",
        *_SMALLER,
        flags=re.IGNORECASE,
    ),
    _p("gpu_memory", 95, r"torch\.(?:cuda\.)?OutOfMemoryError", *_SMALLER),
    _p(
        "gpu_memory",
        93,
        r"\b(?:cuda|gpu|hip|vram|rmm|cudnn|cublas)\w*\b.{0,60}\b(?:out of memory|bad_alloc|allocat\w+ fail)"
        r"|(?:out of memory|failed to allocate|insufficient) .{0,60}\b(?:gpu|cuda|vram|device memory)",
        *_SMALLER,
        flags=re.IGNORECASE,
    ),
    _p(
        "gpu_memory",
        94,
        r"RESOURCE_EXHAUSTED: (?:.{0,80}\b)?(?:Out of memory|OOM)|ResourceExhaustedError"
        r"|OOM when allocating tensor",
        *_SMALLER,
    ),
    _p("gpu_memory", 80, r"^\s*out of memory\s*$", *_SMALLER, flags=re.IGNORECASE),
    _p(
        "memory",
        92,
        r"DefaultCPUAllocator: (?:not enough memory|can't allocate memory)|_ArrayMemoryError"
        r"|Unable to allocate [\d.]+ [KMGTPE]i?B for an array|std::bad_alloc|\bMemoryError\b|Cannot allocate memory"
        r"|JavaHeapSpace|java\.lang\.OutOfMemoryError|\[?Errno 12\]?",
        *_LESS_RAM,
    ),
    _p(
        "memory",
        93,
        r"oom[-_ ]?kill(?:er|ed)?\b.{0,60}(?:event|invoked|process|handler)?|Out of memory: Killed process"
        r"|OOM Killed|OOMKilled|Memory cgroup out of memory|exceeded (?:its )?memory limit|Exceeded job memory limit",
        *_LESS_RAM,
        flags=re.IGNORECASE,
    ),
    # --- files and disk --------------------------------------------------------------------------------------------
    _p(
        "disk_full",
        94,
        r"No space left on device|Disk quota exceeded|ENOSPC|\[Errno 28\]|database or disk is full",
        *_ROOM,
    ),
    _p(
        "disk_full",
        90,
        r"File too large|\[Errno 27\]|File size limit exceeded",
        "A limit on file sizes was reached: `ulimit -f` shows it; write smaller shards, or raise it.",
    ),
    _p("disk_full", 72, r"PytorchStreamWriter failed writing file|file write failed", *_ROOM),
    _p(
        "missing_file",
        86,
        r"FileNotFoundError|can't open file '.*': \[Errno 2\]|can't cd to"
        r"|\[Errno 2\] No such file|No such file or directory|NotADirectoryError|does not exist: '?[\w./~-]+",
        "Check the path: it is taken relative to the run's working directory.",
        "If a step before this one makes the file, run that first.",
    ),
    _p(
        "permission",
        86,
        r"PermissionError|Permission denied|\[Errno 13\]|Operation not permitted|Read-only file system",
        "Make the path readable and writable for this user, or write elsewhere; a script needs `chmod +x`, or "
        "call it by "
        "its interpreter.",
    ),
    _p(
        "limit",
        86,
        r"Too many open files|\[Errno 24\]|received 0 items of ancdata|Resource temporarily unavailable"
        r"|can't start new thread|RecursionError|maximum recursion depth",
        "Raise the limit (`ulimit -n`, `ulimit -u`) or open fewer at once; "
        "torch.multiprocessing.set_sharing_strategy('file_system') helps with loaders. For a recursion look for "
        "the call "
        "without an end.",
    ),
    # --- numbers ---------------------------------------------------------------------------------------------------
    _p(
        "not_finite",
        92,
        r"found invalid values|tensor\(\[+\s*nan\b"
        r"|\b\w*loss\w*['\"]?\s*[:=]\s*(?:tensor\()?[-+]?(?:nan|inf)\b|loss scale .{0,30}\bminimum"
        r"|reducing loss scale to (?:0\.0\b|\d[\d.]*e-(?:[3-9]\d|\d{3}))|(?:nan|infinite) .{0,40}gradients?\b"
        r"|gradients? .{0,60}\b(?:nan|non-?finite|infinite)\b|weights? (?:is|are|became|contains?) (?:nan|inf)",
        *_NAN,
        flags=re.IGNORECASE,
    ),
    _p(
        "not_finite",
        93,
        r"\bloss (?:is|was|became|=|:)\s*(?:now )?(?:nan|[+-]?inf(?:inite)?|not finite)\b"
        r"|(?:nan|inf|non-?finite)\b.{0,20}\bloss\b.{0,60}(?:stop|abort|exit|skip|terminat|detect|encounter|found)"
        r"|(?:found|detected|encountered|contains?|returned)\b.{0,40}\b(?:nans?|infs?"
        r"|non-?finite)\b.{0,40}\b(?:loss|grad\w*|weights?|"
        r"values?|output|parameters?|input|tensor)"
        r"|returned nan values in its|Input (?:X |y )?contains (?:NaN|infinity)|invalid values:\s*tensor\(\[+\s*nan"
        r"|gradient norm (?:is )?(?:nan|inf)|ValueError: .*\b(?:NaN|nan)\b|loss scale (?:reached|is at) (?:its )?minim"
        r"|Minimum loss scale reached|Model diverged with loss = nan",
        *_NAN,
        flags=re.IGNORECASE,
    ),
    _p(
        "zero_division",
        80,
        r"ZeroDivisionError|division by zero|integer divide by zero",
        "Something that is divided by is empty or zero: most often a data set or loader of length 0, or fewer samples "
        "than one batch with drop_last.",
    ),
    _p(
        "dtype",
        87,
        r"must have the same dtype|expected (?:scalar type|m1 and m2 to have the same dtype|object of scalar type)"
        r"|but found (?:Half|Float|Double|BFloat16|Long|Int)\b|not implemented for '(?:Half|Long|Int|Bool"
        r"|BFloat16|Byte|Char)'"
        r"|Cannot cast (?:ufunc|array)|UFuncTypeError|dtypes? (?:mismatch|do not match)|result type \w+ can't be cast"
        r"|Input type \(.*\) and (?:weight|bias) type \(.*\) should be the same|can't convert np\.ndarray of type"
        r"|ufunc '.*' not supported for the input types|unsupported dtype",
        "Bring both sides to one type (`.to(dtype)`, `.float()`, an autocast region), and check what the loader "
        "yields.",
    ),
    _p(
        "device",
        88,
        r"Expected all tensors to be on the same device|Attempting to deserialize object on a CUDA device"
        r"|No CUDA GPUs are available|Found no NVIDIA driver|CUDA driver version is insufficient"
        r"|no kernel image is available"
        r"|Torch not compiled with CUDA enabled|NVML.{0,30}(?:not|fail)|CUDA unknown error|Unable to initialize backend"
        r"|CUDA_ERROR_NO_DEVICE|cudaErrorInsufficientDriver|no CUDA-capable device|invalid device ordinal",
        "Check `nvidia-smi` and that the installed build fits the driver and the GPU; move model and batch to the same "
        "device.",
    ),
    _p(
        "hardware",
        97,
        r"NVRM: Xid|\bXid \(PCI|GPU has fallen off the bus|uncorrectable ECC|CUDA error: uncorrectable",
        "The GPU or its link is faulty: results from then on cannot be trusted. Take another one; the machine needs a "
        "reset.",
    ),
    _p(
        "device_assert",
        92,
        r"Assertion `.{1,200}' failed|Assertion `.{1,200}` failed|device-side assert",
        "Most often an index is out of range: a label >= the number of classes, a token id >= the vocabulary, a "
        "negative "
        "target. Check minimum and maximum of the ids in the batch.",
        *_SYNC,
    ),
    _p(
        "device",
        78,
        r"CUDA error:? |CUDA driver error|cudaError(?!_t)\w+|illegal memory access|CUBLAS_STATUS_\w+"
        r"|CUDNN_STATUS_(?!SUCCESS)\w+",
        *_SYNC,
    ),
    _p(
        "shape",
        85,
        r"size mismatch(?! for)|shapes? (?:\S+ )?(?:and|cannot|mismatch|must|do(?:es)? not)|mat1 and mat2 shapes"
        r"|must match the size of tensor|equal size, but got|mismatch in its core dimension|could not be broadcast"
        r"|Sizes of tensors must match|shape '\[.*\]' is invalid for input|cannot reshape array"
        r"|expected .{1,40}(?:D|dimensional) "
        r"(?:\(?.{0,30}\)? )?(?:input|tensor)|Incompatible shapes|must match in all dimensions"
        r"|Dimensions? (?:must|out of|mismatch)"
        r"|expected input.{0,60}to have \d+ channels|incompatible shapes|all the input array(?: dimension)?s",
        "Print the shapes just before this line; compare them with what the layer above was built for.",
        flags=re.IGNORECASE,
    ),
    _p(
        "checkpoint",
        92,
        r"size mismatch for [\w.]+|Missing key\(s\) in state_dict|Unexpected key\(s\) in state_dict",
        "The checkpoint was made by another configuration: compare vocabulary, width and depth with its own settings.",
    ),
    _p(
        "checkpoint",
        91,
        r"loading state_dict for"
        r"|PytorchStreamReader failed|invalid load key"
        r"|failed finding central directory"
        r"|UnpicklingError|pickle data was truncated|checkpoint .{0,60}(?:corrupt|incompatible|mismatch|damaged)"
        r"|Error while deserializing header|Ran out of input|Weights only load failed",
        "The checkpoint was made by another configuration, or its file is cut: compare vocabulary and width, or "
        "load an "
        "older one.",
    ),
    # --- starting --------------------------------------------------------------------------------------------------
    _p("missing_module", 90, r"ModuleNotFoundError: No module named '?([\w.]+)'?|No module named '?([\w.]+)'?$"),
    _p(
        "import",
        84,
        r"ImportError: |cannot import name|undefined symbol: |GLIBC\w*_[\d.]+' not found"
        r"|got an unexpected keyword argument|module '[\w.]+' has no attribute|requires .{1,60} but you have"
        r"|version (?:mismatch|conflict)|VersionConflict|incompatible with .{1,40} version"
        r"|error while loading shared libraries|DLL load failed|partially initialized module",
        "Versions do not fit together: compare the installed ones with those the last good run had, reinstall "
        "the package "
        "that is named, and see that no file of yours has a package's name.",
    ),
    _p(
        "syntax",
        92,
        r"^(?:SyntaxError|IndentationError|TabError)\b",
        "Mend the line that is shown (the bracket or quote may have been opened lines before).",
    ),
    _p(
        "command",
        90,
        r"(?:command )?not found$|is not recognized as|exec format error|bad interpreter",
        "Check the spelling and the PATH of the run; `which NAME` in its environment shows it.",
        flags=re.IGNORECASE,
    ),
    _p(
        "usage",
        90,
        r"^\S*(?:\.py|\w): error: |error: (?:argument|unrecognized arguments|the following arguments|no such option)"
        r"|No such option|Missing (?:option|argument|parameter)|Invalid value for|unrecognized arguments"
        r"|arguments? (?:is|are) not used by|unknown (?:argument|option|flag|parameter)s?\b|unexpected argument"
        r"|required arguments?:|Could not override|No such command",
        "Correct the arguments; `--help` lists what the script takes.",
        flags=re.IGNORECASE,
    ),
    _p(
        "config",
        84,
        r"JSONDecodeError|yaml\.\w+(?:\.\w+)?Error|ScannerError|ParserError|TOMLDecodeError|mapping values are not"
        r"|ConfigAttributeError|ConfigKeyError|MissingMandatoryValue|ConfigCompositionException|ValidationError"
        r"|InterpolationKeyError|MissingConfigException|MissingSectionHeaderError|Key '\w+' (?:is )?not in",
        "Correct the file at the place that the message names (line and column).",
    ),
    # --- model and data --------------------------------------------------------------------------------------------
    _p(
        "autograd",
        86,
        r"does not require grad and does not have a grad_fn|modified by an inplace operation"
        r"|backward through the graph a second time|Expected to have finished reduction in the prior iteration"
        r"|optimizer got an empty parameter list|No gradients provided for any variable"
        r"|leaf Variable that requires grad",
        "Look for a detach, a no_grad block, an in-place operation, frozen parameters, or (with several processes) "
        "parameters that take no part in the loss.",
    ),
    _p(
        "index",
        85,
        r"index out of range in self|Target -?\d+ is out of bounds|is out of bounds for (?:axis|dimension)"
        r"|index \d+ is out of (?:bounds|range)|label .{0,40}(?:out of range|not in \[|must be in)",
        "A label or a token id lies beyond what the model was built for: compare the largest one with the number of "
        "classes or the vocabulary.",
    ),
    _p(
        "empty_data",
        87,
        r"num_samples should be a positive integer value, but got num_samples=0|EmptyDataError|No columns to parse"
        r"|(?:found|loaded|got|with|contains) (?:0|no) (?:samples|images|files|examples|rows|sequences)\b"
        r"|cannot be empty unless no samples|empty (?:range|sequence|iterable|data ?set)\b|all input arrays are empty"
        r"|(?:data ?set|dataloader|training (?:data|set)) (?:is|was) empty|Found 0 (?:images|files)",
        "The data set is empty: check its path, the pattern of its files, and the split.",
        flags=re.IGNORECASE,
    ),
    _p(
        "data",
        84,
        r"UnicodeDecodeError|Error tokenizing data|UnidentifiedImageError|cannot identify image file|BadZipFile"
        r"|ArrowInvalid|DatasetGenerationError|image file is truncated|DataCorruptionError"
        r"|Parquet magic bytes not found"
        r"|zlib\.error|Not a gzipped file|truncated .{0,20}(?:file|record)|DATA_LOSS",
        "A file of the data is damaged or of another kind: find out which one, and leave it out or fetch it again.",
    ),
    _p(
        "compile",
        84,
        r"ninja: build stopped|Error (?:compiling objects|building extension)|nvcc fatal|BackendCompilerFailed"
        r"|torch\._dynamo\.exc|CUDA_HOME environment variable is not set|Triton ?Error|CompilationError"
        r"|ptxas (?:fatal|error)"
        r"|XLA compilation failed|command '.{0,80}(?:gcc|g\+\+|nvcc)' failed",
        "Compiling failed: compare the compiler, the CUDA toolkit and the package with each other; without "
        "torch.compile the model may run.",
    ),
    # --- others ----------------------------------------------------------------------------------------------------
    _p(
        "data_worker",
        89,
        r"Pin memory thread exited|DataLoader worker \(pid\(?s?\)? ?[\d, ]+\) (?:is killed|exited|exit)"
        r"|unable to open shared memory"
        r"|out of shared memory|Bus error|BrokenProcessPool|TerminatedWorkerError|worker .{0,30}(?:died"
        r"|was killed|exited unexpectedly)",
        "Raise the shared memory (`--shm-size` of the container, /dev/shm), or use fewer workers.",
        "With num_workers=0 the worker's own error shows.",
    ),
    _p(
        "collective",
        74,
        r"Watchdog caught collective|ProcessGroupNCCL.{0,80}(?:timeout|timed out|abort)|ncclSystemError"
        r"|ncclUnhandledCudaError|ncclInternalError|ncclRemoteError|NCCL (?:error|failure|timeout)"
        r"|DistBackendError|gloo.{0,120}"
        r"(?:closed|timed? ?out|reset|refused)|Connection closed by peer|MPI_ABORT|TCPStore.{0,60}(?:timeout"
        r"|failed|recv)|"
        r"torch\.distributed.{0,40}(?:timeout|DistNetworkError|DistStoreError)|RendezvousTimeoutError"
        r"|coordination service.{0,60}"
        r"(?:error|unavailable|timeout)",
        *_RANKS,
    ),
    _p(
        "hang",
        88,
        r"^Timeout \(\d+:\d\d:\d\d(?:\.\d+)?\)!|DataLoader timed out after|Fatal Python error: Timeout"
        r"|appears? to be (?:hung|stuck)|deadlock detected",
        "The stacks below that line show where each thread stood; look for a lock, a queue or a collective.",
    ),
    _p(
        "time_limit",
        95,
        r"DUE TO TIME LIMIT|walltime .{0,30}exceeded|exceeded (?:its )?(?:wall ?time|time limit)"
        r"|TERM_RUNLIMIT|CPU time limit exceeded|job killed: walltime",
        "Ask for more time, or save checkpoints and go on from the last one (`ragent retry --resume`).",
        flags=re.IGNORECASE,
    ),
    _p(
        "killed",
        90,
        r"CANCELLED AT .{0,40}(?:DUE TO PREEMPTION|by \d+|\*\*\*)|DUE TO NODE FAILURE|preempted by|was preempted",
        "The scheduler took the node away: requeue, or go on from the last checkpoint.",
    ),
    _p(
        "killed",
        91,
        r"actor died unexpectedly|A worker died or was killed while executing"
        r"|worker process has died|Node .{0,40} died\b",
        "The worker was killed (often out of memory) or crashed: its own log on that node says which; `dmesg | tail` "
        "there, too.",
    ),
    _p(
        "killed",
        72,
        r"died with <Signals\.SIG(?:KILL|TERM|HUP)|exitcode\s*: -(?:9|15) |Signal (?:9|15) \(SIG\w+\) received"
        r"|exit(?:ed with)? code -(?:9|15)\b|return code -(?:9|15)\b|worker .{0,40} (?:SIGKILL|signal 9)",
        "Somebody or the kernel's out-of-memory killer did it: `dmesg | tail` and the scheduler's log say which.",
    ),
    _p(
        "killed",
        66,
        r"^(?:\S+: )?(?:line \d+: +)?\d+ Killed\b|^Killed(?:\s+\S.*)?$|terminated by signal (?:9|15|SIGKILL|SIGTERM)",
        "Somebody or the kernel's out-of-memory killer did it: `dmesg | tail` and the scheduler's log say which.",
    ),
    _p(
        "port",
        88,
        r"Address already in use|EADDRINUSE|\[Errno 98\]|port .{0,30}already (?:in use|allocated)",
        "Another process listens there (an earlier run that still lives?): stop it, or choose another port "
        "(MASTER_PORT).",
    ),
    _p(
        "access",
        85,
        r"401 (?:Client Error|Unauthorized)|403 (?:Client Error|Forbidden)|GatedRepoError|gated repo"
        r"|Invalid (?:user token|credentials|API key)|api_key not configured|NoCredentialsError|Unauthorized for url",
        "Log in, or set the token that the service wants, in the run's environment.",
        flags=re.IGNORECASE,
    ),
    _p(
        "network",
        80,
        r"We couldn't connect to|couldn't find (?:it|them) in the cached files|Can't load (?:tokenizer|the model"
        r"|config\w*"
        r"|image processor|feature extractor|the configuration) (?:for|of)|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|outgoing traffic has been disabled",
        *_NETWORK,
    ),
    _p(
        "network",
        70,
        r"URLError|Max retries exceeded|Name or service not known|Temporary failure in name resolution"
        r"|ConnectionError\b|ConnectionRefusedError|ConnectionResetError|Connection (?:refused|reset)"
        r"|Network is unreachable"
        r"|SSLError|CERTIFICATE_VERIFY_FAILED|ReadTimeout|ConnectTimeout|getaddrinfo failed|No route to host"
        r"|HTTPError: 5\d\d|HTTP Error 5\d\d",
        *_NETWORK,
    ),
    _p(
        "crash",
        80,
        r"Fatal Python error: |Segmentation fault|(?<!Sending )SIGSEGV|exitcode\s*: -(?:6|7|8|11) |core dumped"
        r"|double free|free\(\): invalid"
        r"|munmap_chunk|stack smashing|Illegal instruction|\*\*\* Process received signal",
        "Native code crashed: `python -X faulthandler` shows the Python line. A mismatch of compiled packages is "
        "the most "
        "common reason; reinstall the one that is named.",
    ),
    _p(
        "interrupted",
        87,
        r"^KeyboardInterrupt\b|Interrupted by user",
        "Somebody (or a wrapper script) pressed Ctrl-C or sent SIGINT: start it again.",
    ),
    _p(
        "assertion",
        62,
        r"^AssertionError\b|Assertion failed|assert .* failed",
        "The line says what must hold; print both sides of it, and look at which setting breaks it.",
    ),
]
