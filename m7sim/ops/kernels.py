"""The C kernels of ``firmware/kernels/nn``: their ELF, and which of them can run a shape."""

from __future__ import annotations

from pathlib import Path

from m7sim import toolchain
from m7sim.errors import InputError
from m7sim.ops.shapes import POOLS, Family, OpType, Shape

FLAGS = ("-O3", "-g3", "-std=gnu11", "-ffunction-sections", "-fdata-sections")
BOARD = "stm32f746"
NAIVE, OPTIMISED, SELECT = "naive", "optimised", "select"
OK = 0

_QUADS = "needs in_ch a multiple of 4 and out_ch of 2"
_EQUAL = "needs out_ch equal to in_ch"
_CONV = {
    "1x1": "m7nn_conv_1x1",
    "fast": "m7nn_conv_fast",
    "rgb": "m7nn_conv_rgb",
    "basic": "m7nn_conv_basic",
    NAIVE: "m7nn_conv_naive",
}
_FC = {
    "x4": "m7nn_fc_x4",
    "plain": "m7nn_fc",
    NAIVE: "m7nn_fc_naive",
    "x4 naive": "m7nn_fc_x4_naive",
}


def _pair(stem: str) -> dict[str, str]:
    return {OPTIMISED: stem, NAIVE: f"{stem}_naive"}


def _max_pool(stem: str) -> dict[str, str]:
    # The form with selections is faster, but the one that compares is the published one.
    return {OPTIMISED: stem, SELECT: f"{stem}_sel", NAIVE: f"{stem}_naive"}


KERNELS: dict[tuple[Family, OpType], dict[str, str]] = {
    (Family.Q7, OpType.CONV): {form: name for form, name in _CONV.items() if form != "1x1"},
    (Family.Q7, OpType.POINTWISE): _CONV,
    (Family.Q7, OpType.DEPTHWISE): _pair("m7nn_depthwise"),
    (Family.Q7, OpType.FULLY_CONNECTED): _FC,
    (Family.Q7, OpType.MAX_POOL): _max_pool("m7nn_max_pool"),
    (Family.Q7, OpType.AVE_POOL): _pair("m7nn_ave_pool"),
    (Family.Q7, OpType.RELU): _pair("m7nn_relu"),
    (Family.Q7, OpType.ADD): _pair("m7nn_add"),
    (Family.Q7, OpType.SOFTMAX): _pair("m7nn_softmax"),
    (Family.Q15, OpType.FULLY_CONNECTED): {
        "x4": "m7nn_fc_q15_x4",
        "plain": "m7nn_fc_q15",
        NAIVE: "m7nn_fc_q15_naive",
    },
    (Family.S8, OpType.CONV): _pair("m7nn_conv_s8"),
    (Family.S8, OpType.POINTWISE): {"1x1": "m7nn_conv_1x1_s8", **_pair("m7nn_conv_s8")},
    (Family.S8, OpType.DEPTHWISE): {
        "3x3": "m7nn_depthwise_3x3_s8",
        OPTIMISED: "m7nn_depthwise_s8",
        "multi": "m7nn_depthwise_multi_s8",
        NAIVE: "m7nn_depthwise_s8_naive",
    },
    (Family.S8, OpType.FULLY_CONNECTED): _pair("m7nn_fc_s8"),
    (Family.S8, OpType.MAX_POOL): _max_pool("m7nn_max_pool_s8"),
    (Family.S8, OpType.AVE_POOL): _pair("m7nn_ave_pool_s8"),
    (Family.S8, OpType.RELU): _pair("m7nn_relu_s8"),
    (Family.S8, OpType.ADD): _pair("m7nn_add_s8"),
    (Family.S8, OpType.SOFTMAX): _pair("m7nn_softmax_s8"),
}
"""Forms and C functions by family and operation; the usual (fastest) form first."""


def kernel_sources() -> list[Path]:
    """Return the C files of the kernel library, in a fixed order."""
    return sorted((toolchain.firmware_dir() / "kernels" / "nn").glob("*.c"))


def kernel_includes() -> list[Path]:
    """Return the header folders the kernels need."""
    firmware = toolchain.firmware_dir()
    return [firmware / "include", firmware / "kernels" / "nn"]


def kernel_names() -> list[str]:
    """Return the names of all kernels."""
    return sorted({name for forms in KERNELS.values() for name in forms.values()})


def kernel_elf(
    *, cflags: tuple[str, ...] = (), defines: tuple[str, ...] = (), board: str = BOARD
) -> Path:
    """Build all kernels into one ELF, or return the one built before.

    Parameters
    ----------
    cflags
        Compiler options behind the usual ``-O3``, so that ``-Os`` replaces it.
    defines
        Preprocessor names, such as ``M7NN_PKH_IN_C`` (see ``firmware/include/m7dsp.h``).
    board
        Board whose memory map the ELF is linked for.

    Raises
    ------
    InputError
        If there is no linker script for the board.
    ToolError
        If the cross compiler is missing or fails.
    """
    scripts = toolchain.firmware_dir() / "board"
    script = scripts / f"{board}.ld"
    if not script.exists():
        known = ", ".join(sorted(path.stem for path in scripts.glob("*.ld")))
        raise InputError(f"no linker script for board {board!r}", do=f"Use one of: {known}.")
    return toolchain.build(
        kernel_sources(),
        linker_script=script,
        flags=(*FLAGS, *cflags, *(f"-D{name}" for name in defines)),
        include=kernel_includes(),
        keep=kernel_names(),
    )


def form_obstacles(shape: Shape) -> dict[str, str]:
    """Return every form of kernel of a shape's operation, and why it cannot run the shape.

    Returns
    -------
    Form to reason; the reason is "" where the form can. Empty if there is no kernel at all.
    """
    forms = dict.fromkeys(KERNELS.get((shape.family, shape.op), {}), "")
    if shape.family is Family.Q7:
        if shape.op in (OpType.CONV, OpType.POINTWISE):
            quads = "" if shape.in_ch % 4 == 0 and shape.out_ch % 2 == 0 else _QUADS
            forms |= {form: quads for form in ("1x1", "fast") if form in forms}
            forms["rgb"] = "" if shape.in_ch == 3 else "needs in_ch 3"
        elif shape.op in POOLS and shape.pad_x >= shape.stride_x:
            forms |= {f: "needs pad_x below stride_x" for f in (OPTIMISED, SELECT) if f in forms}
        elif shape.op is OpType.DEPTHWISE and shape.out_ch != shape.in_ch:
            forms = dict.fromkeys(forms, _EQUAL)
    elif shape.family is Family.S8 and shape.op is OpType.DEPTHWISE:
        if (shape.kernel_y, shape.kernel_x) != (3, 3):
            forms["3x3"] = "needs a 3x3 kernel"
        if shape.out_ch != shape.in_ch:
            forms |= dict.fromkeys(("3x3", OPTIMISED), _EQUAL)
        if shape.out_ch % (4 * shape.in_ch):
            forms["multi"] = "needs out_ch a multiple of 4 times in_ch"
    return forms


def kernel_forms(shape: Shape) -> tuple[str, ...]:
    """Return the forms of kernel that can run a shape, the usual (fastest) one first."""
    return tuple(form for form, obstacle in form_obstacles(shape).items() if not obstacle)


def buffer_elements(shape: Shape, form: str = "") -> int:
    """Return the size of the scratch buffer that a kernel of this shape needs.

    Returns
    -------
    int16 elements (int32 for a softmax of the s8 family); 0 for kernels without a buffer. Naive
    forms take one and leave it alone; their size is that of the other forms.
    """
    taps = shape.kernel_y * shape.kernel_x * shape.in_ch
    if shape.family is Family.S8:
        if shape.op is OpType.SOFTMAX:
            return shape.in_ch
        if shape.op is OpType.CONV or (shape.op is OpType.POINTWISE and form != "1x1"):
            return 2 * taps + (taps + 1) // 2 * (shape.in_ch % 4 != 0)
        return 0
    match shape.op:
        case OpType.CONV | OpType.POINTWISE:
            return 2 * taps
        case OpType.DEPTHWISE:
            return (taps + 1) // 2
        case OpType.FULLY_CONNECTED:
            return shape.in_ch if shape.family is Family.Q7 else 0
        case OpType.AVE_POOL:
            return shape.out_x * shape.out_ch
        case _:
            return 0
