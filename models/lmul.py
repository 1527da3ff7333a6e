"""L-Mul, a floating-point product from one integer add: configuration, golden model and stimulus of the design ``lmul``.

For ``x = (-1)^sx (1 + xm) 2^xe``, y likewise and ``M`` mantissa bits, the product is approximated by
``(-1)^(sx xor sy) (1 + s) 2^(xe + ye)`` with ``s = xm + ym + 2^-l(M)``, where ``l(M)`` is M up to 3 bits, 3 for 4 bits and
4 above ("Addition is All You Need for Energy-efficient Language Models", arXiv 2410.00907, section 2.2). The offset
``2^-l(M)`` stands for the product ``xm ym`` that is left out; without it this is the multiplier of Mitchell ("Computer
multiplication and division using binary logarithms", IRE Transactions on Electronic Computers EC-11, 1962).

On the codes without their signs, exponent field above mantissa field, it is one sum:
``product = a + b - (bias << M) + offset``. That is not the formula where ``s >= 1``:

===============  ==================  ==================  ===================
``carry``        ``s < 1``           ``1 <= s < 2``      ``2 <= s``
===============  ==================  ==================  ===================
``"adder"``      ``(1 + s) 2^e``     ``2 s 2^e``         ``4 (s - 1) 2^e``
``"formula"``    ``(1 + s) 2^e``     ``(1 + s) 2^e``     ``(1 + s) 2^e``
===============  ==================  ==================  ===================

The adder's carry runs into the exponent and so doubles what the mantissa has beyond 1; the formula needs a normalising
shift by one place, which rounds the bit shifted out.

Where the paper is silent: zeros and subnormal numbers as operands give a zero, and so does a product below the smallest
normal number, with the product's sign; a product above the largest finite number overflows as the configuration says; NaN
and infinity give what IEEE 754 has, with subnormal numbers as zeros, so that infinity times one of them is NaN.
"""

import dataclasses
import re
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .float_multiply import FloatProductConfig, blockwise, special_products
from .multiplier_error import CRITERIA, optimal_offset

__all__ = ["OFFSETS", "LMulConfig", "lmul_golden", "lmul_products", "paper_offset"]

#: Offsets by name; any other is a number of units in the last place of the mantissa.
OFFSETS = ("paper", "none", "optimal")

_NUMBER = re.compile(r"[0-9]{1,8}(\.[0-9]{1,8})?")


def paper_offset(mantissa_bits):
    """The paper's offset, ``2^-l(M)``, in units in the last place of the mantissa (arXiv 2410.00907, equation 1)."""
    l = mantissa_bits if mantissa_bits <= 3 else 3 if mantissa_bits == 4 else 4
    return 1 << mantissa_bits - l


@dataclasses.dataclass(frozen=True, kw_only=True)
class LMulConfig(FloatProductConfig):
    """Approximate floating-point multiplier of one integer adder."""

    design: ClassVar[str] = "lmul"

    offset: str | int | float = parameter(
        "paper",
        "what stands for the mantissas' product: the paper's constant, none (Mitchell), the best by criterion over uniform "
        "mantissas, or a number of units in the last place of the mantissa",
        choices=OFFSETS,
    )
    criterion: str = parameter(
        "mean-absolute", "what the optimal offset minimises: a measure of the relative error", choices=CRITERIA
    )
    guard_bits: int | None = parameter(
        None,
        "bits that the product's mantissa has below the operands' last place, for an offset with a fraction; derived as what "
        "a number needs, else 0",
        legal=(0, 8),
    )
    carry: str = parameter(
        "adder",
        "a carry out of the mantissas runs into the exponent, or the significand is normalised as the formula has it",
        choices=("adder", "formula"),
    )
    rounding: str = parameter(
        "toward-zero",
        "rounding of the bit that the formula's normalising shift drops",
        choices=("toward-zero", "nearest-even"),
    )

    def _check(self, field, value):
        if field.name != "offset" or (isinstance(value, str) and value in OFFSETS):
            super()._check(field, value)
        elif type(value) not in (int, float) and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
            names = ", ".join(OFFSETS)
            raise ConfigError(f"offset must be one of {names}, or a number of units in the last place, not {value!r}")

    def derive(self):
        super().derive()
        if self.carry == "adder" and self.rounding != "toward-zero":
            raise ConfigError(f'rounding {self.rounding!r} needs carry = "formula": an adder drops no bit')
        if self.offset not in OFFSETS:
            self._derive_number()
        elif self.guard_bits is None:
            self._set(guard_bits=0)
        if self.mantissa_bits + self.guard_bits > 23:
            raise ConfigError(
                f"guard_bits must be in 0..{min(8, 23 - self.mantissa_bits)} for {self.mantissa_bits} mantissa bits, "
                f"not {self.guard_bits!r}"
            )

    def _derive_number(self):
        offset = float(self.offset)
        if not 0 <= offset < 1 << self.mantissa_bits:
            raise ConfigError(
                f"offset must be at least 0 and less than {1 << self.mantissa_bits} units in the last place, a significand "
                f"of one, not {self.offset!r}"
            )
        needed = next((bits for bits in range(9) if (offset * (1 << bits)).is_integer()), None)
        if needed is None or (self.guard_bits is not None and needed > self.guard_bits):
            places = 8 if self.guard_bits is None else self.guard_bits
            raise ConfigError(
                f"offset must be a multiple of 2^-{places}, the last of the guard bits, not {self.offset!r}"
            )
        if self.guard_bits is None:
            self._set(guard_bits=needed)
        self._set(offset=int(offset) if offset.is_integer() else offset)

    @cached_property
    def product_format(self):
        """Format of the product: the operands' with ``guard_bits`` more mantissa bits."""
        return dataclasses.replace(self.float_format, mantissa_bits=self.mantissa_bits + self.guard_bits)

    @cached_property
    def offset_units(self):
        """The offset as an integer, in units in the last place of the product."""
        if self.offset == "optimal":
            offset = optimal_offset(
                mantissa_bits=self.mantissa_bits,
                guard_bits=self.guard_bits,
                carry=self.carry,
                rounding=self.rounding if self.carry == "formula" else "none",
                criterion=self.criterion,
            )
        else:
            offset = {"paper": paper_offset(self.mantissa_bits), "none": 0}.get(self.offset, self.offset)
        return int(offset * (1 << self.guard_bits))

    @cached_property
    def constant(self):
        """What the adder adds to the two magnitudes, in units in the last place of the product: offset less bias."""
        return self.offset_units - (self.bias << self.mantissa_bits + self.guard_bits)

    def near(self, magnitudes, border):
        """Partners with which operands' products lie near a border; ``int64`` magnitudes."""
        return border - magnitudes - (self.constant >> self.guard_bits)


def lmul_products(config, a, b):
    """Approximate products of codes.

    Parameters
    ----------
    config : :class:`LMulConfig`
    a, b : arrays of integers
        Codes of ``config.float_format``, of shapes that broadcast together. Fastest as arrays of its ``dtype``.

    Returns
    -------
    array of ``config.product_format.dtype``
        Codes. NaN is the canonical one, positive.

    Raises
    ------
    ConfigError
        If a code is not an integer or has more bits than the format.
    """
    operand, result = config.operand_format, config.product_format
    special = operand.largest_code < operand.magnitude_mask
    overflow = result.overflow_code(config.overflow)
    # Two magnitudes, an offset, and a sign for what lies below zero; bias and exponent field have at most 8 bits.
    bits = result.mantissa_bits + 8 + 3
    total_type = np.dtype(np.int16 if bits <= 16 else np.int32 if bits <= 32 else np.int64)

    def multiply(a, b):
        x, y = operand.magnitudes(a), operand.magnitudes(b)
        total = x.astype(total_type)
        total += y
        if config.guard_bits:
            total <<= config.guard_bits
        total += config.constant
        if config.carry == "formula":
            _normalise(config, total, x, y)
        beyond = total > result.largest_code
        zero = (np.minimum(x, y) < operand.smallest_normal_code) | (total < result.smallest_normal_code)
        np.copyto(total, overflow, where=beyond)
        total *= ~zero
        codes = total.astype(result.dtype)
        if result.signed:
            sign = ((a ^ b) & operand.dtype.type(operand.sign_mask)).astype(result.dtype) << config.guard_bits
            if overflow == result.nan_code:
                sign[codes == overflow] = 0
            codes |= sign
        if special:
            where = np.flatnonzero(np.maximum(x, y) > operand.largest_code)
            codes[where] = special_products(operand, result, a[where], b[where])
        return codes

    return blockwise(multiply, result.dtype, config.float_format.checked(a), config.float_format.checked(b))


def _normalise(config, total, x, y):
    """From the adder's sums to the formula's, in place.

    Where ``s >= 1`` the sum holds ``2 s``, the formula ``1 + s``: less by ``s - 1``, which is half of the mantissa field that
    the carry left behind.
    """
    mask = config.float_format.mantissa_mask
    excess = (x & x.dtype.type(mask)).astype(total.dtype)
    excess += y & y.dtype.type(mask)
    excess <<= config.guard_bits
    excess += config.offset_units - (1 << config.product_format.mantissa_bits)
    np.maximum(excess, 0, out=excess)
    odd = excess & 1
    excess += odd
    excess >>= 1
    total -= excess
    if config.rounding == "nearest-even":
        # The dropped bit is half a unit, if it is set: a tie.
        total += total & odd


def lmul_golden(config, beats):
    """Approximate products of the beats.

    Parameters
    ----------
    config : :class:`LMulConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
        One beat an input beat.
    """
    return config.o.beats(product=lmul_products(config, beats["a"], beats["b"]))
