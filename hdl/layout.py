"""From the models' payload descriptions to Amaranth layouts."""

from amaranth.hdl import Shape
from amaranth.lib import data

__all__ = ["payload_layout"]


def payload_layout(payload):
    """Layout of one beat: an :class:`amaranth.lib.data.StructLayout` with the payload's fields, in its bit order.

    Parameters
    ----------
    payload : :class:`~carrysave.models.payload.Payload`
    """
    members = {}
    for field in payload.fields:
        shape = Shape(field.width, field.signed)
        for length in reversed(field.shape):
            shape = data.ArrayLayout(shape, length)
        members[field.name] = shape
    return data.StructLayout(members)
