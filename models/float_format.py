"""Binary floating-point formats of up to 32 bits: parameters, limits, predicates on codes, decoding.

A code is, from the most significant bit down, the sign, the exponent field ``e`` and the mantissa field ``m``. Its value is
``(-1)^sign (1 + m / 2^M) 2^(e - bias)`` for ``e > 0``, and ``(-1)^sign (m / 2^M) 2^(1 - bias)``, a subnormal number or zero,
for ``e = 0``. Formats differ in what the codes of the top exponent mean:

==============  ============  =================================================================================
nan             infinities    codes of the top exponent
==============  ============  =================================================================================
``"ieee"``      yes           infinity for ``m = 0``, else NaN (IEEE 754; E5M2 of the OCP 8-bit specification)
``"ieee"``      no            NaN
``"all-ones"``  no            NaN if all bits of ``m`` are set, else numbers (E4M3 of the OCP 8-bit specification)
``"none"``      no            numbers (OCP Microscaling Formats specification, FP6 and FP4)
==============  ============  =================================================================================

A code without its sign bit is called its magnitude; magnitudes of numbers are ordered as the numbers are.
"""

import dataclasses

import numpy as np

from .errors import ConfigError

__all__ = ["CLASSES", "FORMATS", "NANS", "OVERFLOWS", "FloatFormat"]

NANS = ("ieee", "all-ones", "none")
#: What a result beyond the largest finite number becomes; ``"ieee"`` is infinity, without one NaN, without one the largest.
OVERFLOWS = ("ieee", "saturate", "infinity", "nan")
#: Classes of numbers, in the order of :meth:`FloatFormat.classify`.
CLASSES = ("zero", "subnormal", "normal", "infinity", "nan")

_EXPONENT_BITS = (2, 8)
_MANTISSA_BITS = (1, 23)
_BIASES = (0, 255)  # with these, float64 holds the product of any two numbers exactly
_FLOAT64_MANTISSA, _FLOAT64_BIAS = 52, 1023


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatFormat:
    """A binary floating-point format.

    Parameters
    ----------
    exponent_bits : :class:`int`
        Bits of the exponent field, 2..8.
    mantissa_bits : :class:`int`
        Bits of the mantissa field, ``M``, 1..23; the hidden one does not count.
    bias : :class:`int`, optional
        Exponent field of 1.0, 0..255; ``2 ** (exponent_bits - 1) - 1`` by default.
    signed : :class:`bool`
        Codes have a sign bit.
    infinities : :class:`bool`
        The format has infinities; needs ``nan="ieee"``.
    nan : :class:`str`
        One of :data:`NANS`: every code of the top exponent but infinity, the one with all bits set, or no code at all.
    subnormals : :class:`bool`
        Codes with exponent field 0 are subnormal numbers; otherwise all of them are zeros, and none but those with mantissa
        field 0 is ever an answer.

    Raises
    ------
    ConfigError
        For a parameter out of its range: names the parameter, the value and what is legal.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int | None = None
    signed: bool = True
    infinities: bool = True
    nan: str = "ieee"
    subnormals: bool = True

    def __post_init__(self):
        ranges = {"exponent_bits": _EXPONENT_BITS, "mantissa_bits": _MANTISSA_BITS, "bias": _BIASES}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is None and name == "bias":
                object.__setattr__(self, "bias", (1 << self.exponent_bits - 1) - 1)
            elif type(value) is not int or not low <= value <= high:
                raise ConfigError(f"{name} must be an integer in {low}..{high}, not {value!r}")
        for name in ("signed", "infinities", "subnormals"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.nan not in NANS:
            raise ConfigError(f"nan must be one of {', '.join(NANS)}, not {self.nan!r}")
        if self.infinities and self.nan != "ieee":
            raise ConfigError(f'infinities need nan = "ieee", not {self.nan!r}')

    def __str__(self):
        """Usual name of the format, with or without subnormal numbers, if it has one, else such as ``e4m3``."""
        form = dataclasses.replace(self, subnormals=True)
        names = (name for name, known in FORMATS.items() if known == form)
        return next(names, f"e{self.exponent_bits}m{self.mantissa_bits}")

    @property
    def width(self):
        """Bits of a code."""
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def dtype(self):
        """Smallest unsigned NumPy type that holds a code."""
        return np.dtype(np.uint8 if self.width <= 8 else np.uint16 if self.width <= 16 else np.uint32)

    @property
    def sign_mask(self):
        """The sign bit; 0 if the format is unsigned."""
        return self.signed << self.exponent_bits + self.mantissa_bits

    @property
    def magnitude_mask(self):
        """All bits but the sign."""
        return (1 << self.exponent_bits + self.mantissa_bits) - 1

    @property
    def exponent_mask(self):
        """The bits of the exponent field."""
        return self.magnitude_mask ^ self.mantissa_mask

    @property
    def mantissa_mask(self):
        """The bits of the mantissa field."""
        return (1 << self.mantissa_bits) - 1

    @property
    def largest_code(self):
        """Code of the largest finite number."""
        return {
            "ieee": self.exponent_mask - 1,
            "all-ones": self.magnitude_mask - 1,
            "none": self.magnitude_mask,
        }[self.nan]

    @property
    def smallest_normal_code(self):
        """Code of the smallest positive normal number."""
        return 1 << self.mantissa_bits

    @property
    def infinity_code(self):
        """Code of positive infinity; ``None`` if the format has none."""
        return self.exponent_mask if self.infinities else None

    @property
    def nan_code(self):
        """Code of the canonical NaN, positive and with the top mantissa bit set; ``None`` if the format has none."""
        return {
            "ieee": self.exponent_mask | 1 << self.mantissa_bits - 1,
            "all-ones": self.magnitude_mask,
            "none": None,
        }[self.nan]

    @property
    def largest(self):
        """The largest finite number, as a :class:`float`."""
        return float(self.decode(self.largest_code))

    @property
    def smallest_normal(self):
        """The smallest positive normal number, as a :class:`float`."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest_subnormal(self):
        """The smallest positive subnormal number, as a :class:`float`; ``None`` if the format has none."""
        return 2.0 ** (1 - self.bias - self.mantissa_bits) if self.subnormals else None

    @property
    def default_overflow(self):
        """``"ieee"`` for a format with infinities, ``"saturate"`` for one without."""
        return "ieee" if self.infinities else "saturate"

    def overflow_code(self, overflow):
        """Positive code that stands for a number beyond the largest finite one.

        Parameters
        ----------
        overflow : :class:`str`
            One of :data:`OVERFLOWS`.

        Raises
        ------
        ConfigError
            For an unknown name, and for ``"infinity"`` or ``"nan"`` if the format has none.
        """
        if overflow not in OVERFLOWS:
            raise ConfigError(f"overflow must be one of {', '.join(OVERFLOWS)}, not {overflow!r}")
        if overflow == "ieee":
            codes = (self.infinity_code, self.nan_code, self.largest_code)
            return next(code for code in codes if code is not None)
        code = {"saturate": self.largest_code, "infinity": self.infinity_code, "nan": self.nan_code}[overflow]
        if code is None:
            raise ConfigError(f"overflow cannot be {overflow!r}: {self} has no such code")
        return code

    def checked(self, codes):
        """Codes as an array of :attr:`dtype`; raises :exc:`ConfigError` unless they are integers of :attr:`width` bits."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu":
            raise ConfigError(f"codes of {self} must be integers, not {codes.dtype}")
        fits = codes.dtype.kind == "u" and 8 * codes.dtype.itemsize <= self.width
        if not fits and codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << self.width:
            bad = int(codes.min()) if int(codes.min()) < 0 else int(codes.max())
            raise ConfigError(f"{bad} is no code of {self}: it takes 0..{(1 << self.width) - 1}")
        return codes.astype(self.dtype, copy=False)

    def magnitudes(self, codes):
        """Codes without their sign bits, as an array of :attr:`dtype`."""
        return self.checked(codes) & self.dtype.type(self.magnitude_mask)

    def is_negative(self, codes):
        """Where the sign bit is set; ``bool`` array, as all predicates return."""
        return (self.checked(codes) & self.dtype.type(self.sign_mask)) != 0

    def is_zero(self, codes):
        """Where codes are zeros, of either sign; without subnormal numbers, wherever the exponent field is 0."""
        return self.magnitudes(codes) < (1 if self.subnormals else self.smallest_normal_code)

    def is_subnormal(self, codes):
        """Where codes are subnormal numbers, zero not among them."""
        return (self.magnitudes(codes) < self.smallest_normal_code) & ~self.is_zero(codes)

    def is_normal(self, codes):
        """Where codes are normal numbers."""
        return self.is_finite(codes) & (self.magnitudes(codes) >= self.smallest_normal_code)

    def is_finite(self, codes):
        """Where codes are numbers: neither infinity nor NaN."""
        return self.magnitudes(codes) <= self.largest_code

    def is_infinite(self, codes):
        """Where codes are infinities, of either sign."""
        return ~self.is_finite(codes) & ~self.is_nan(codes)

    def is_nan(self, codes):
        """Where codes are NaNs, any of them."""
        return self.magnitudes(codes) > (self.infinity_code if self.infinities else self.largest_code)

    def classify(self, codes):
        """Indices of the codes' classes in :data:`CLASSES`; ``uint8`` array of the shape of ``codes``."""
        edges = [0, self.smallest_normal_code - 1, self.largest_code, self.exponent_mask]
        if not self.subnormals:
            edges[0] = edges[1]
        if not self.infinities:
            edges[3] = edges[2]
        return np.searchsorted(edges, self.magnitudes(codes), side="left").astype(np.uint8)

    def decode(self, codes):
        """Values of codes, exact.

        Parameters
        ----------
        codes : array of integers
            Of any shape.

        Returns
        -------
        ``float64`` array of the shape of ``codes``

        Raises
        ------
        ConfigError
            If a code is not an integer or has more bits than the format.
        """
        codes = self.checked(codes)
        magnitudes = self.magnitudes(codes)
        # The same fields at float64's places, scaled by the biases' difference; float64's own subnormals do the rest.
        bits = magnitudes.astype(np.uint64) << np.uint64(_FLOAT64_MANTISSA - self.mantissa_bits)
        values = bits.view(np.float64) * 2.0 ** (_FLOAT64_BIAS - self.bias)
        if not self.subnormals:
            values = np.where(self.is_zero(codes), 0.0, values)
        if self.nan != "none":
            values = np.where(self.is_finite(codes), values, np.where(self.is_nan(codes), np.nan, np.inf))
        return np.where(self.is_negative(codes), -values, values)


#: Formats by their usual names: IEEE 754's, bfloat16, and those of ``ml_dtypes`` with 4 to 8 bits.
FORMATS = {
    "float32": FloatFormat(exponent_bits=8, mantissa_bits=23),
    "float16": FloatFormat(exponent_bits=5, mantissa_bits=10),
    "bfloat16": FloatFormat(exponent_bits=8, mantissa_bits=7),
    "float8_e5m2": FloatFormat(exponent_bits=5, mantissa_bits=2),
    "float8_e4m3": FloatFormat(exponent_bits=4, mantissa_bits=3),
    "float8_e4m3fn": FloatFormat(exponent_bits=4, mantissa_bits=3, infinities=False, nan="all-ones"),
    "float8_e3m4": FloatFormat(exponent_bits=3, mantissa_bits=4),
    "float6_e3m2fn": FloatFormat(exponent_bits=3, mantissa_bits=2, infinities=False, nan="none"),
    "float6_e2m3fn": FloatFormat(exponent_bits=2, mantissa_bits=3, infinities=False, nan="none"),
    "float4_e2m1fn": FloatFormat(exponent_bits=2, mantissa_bits=1, infinities=False, nan="none"),
}
