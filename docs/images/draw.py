"""Draws the datapaths of docs/bit-weight.md: ``python docs/images/draw.py`` writes the SVG files beside it."""

from itertools import pairwise

from diagram import MEM, MUX, OPT, REG, Drawing


def operands(d, encoder, products, a_bits=8, b_bits=8, digit_bits=12):
    """Left part of a PE: operand registers, what they pass on, encoder, partial products."""
    d.frame(84, 36, 816, 276)
    a, digits = d.row(78, (f"{a_bits}",), (110, 56, 36, "a", REG), (226, 76, 44, encoder))
    b, rows = d.box(110, 140, 56, 36, "b", REG), d.box(350, 52, 110, 132, products)
    d.wire(digits.right(), (350, None), label=f"{digit_bits}")
    d.wire(b.right(), (350, None), label=f"{b_bits}", note=20)
    d.pin(a, 78, f"a {a_bits}")
    d.pin(b, 158, f"b {b_bits}")
    d.fork(184, 158, (None, 334))
    d.text(190, 332, f"b_o {b_bits}")
    d.fork(184, 78, (None, 20), (970, 20), label=f"a_o {a_bits}", note=359)
    return rows


def carry_save(d, x, products, label, carries, controls=("clear",), times="0 or 1 times"):
    """Right part of a PE: compressor tree, registers of sum and carry word, feedback."""
    tree, feed = d.box(x, 52, 120, 132, "compressor|tree"), d.box(x, 228, 120, 44, times)
    d.wire(products.right(), tree.left(), label=label)
    for y, x1, y1, name, bits in ((78, 876, 238, "s", 32), (158, 886, 262, "c", carries)):
        word = d.box(812, y - 20, 52, 40, name, REG)
        d.wire((x + 120, y), word.left(), label=f"{bits}")
        d.wire(word.right(), (970, None), label=f"{name} {bits}", note=20)
        d.fork(x1, y, (None, y1), (x + 120, y1), label=f"{bits}", on=1)
    for index, control in enumerate(controls):
        d.pin(feed, 250 if len(controls) == 1 else 240 + 22 * index, control)
    d.wire(feed.top(), tree.bottom(), label=f"32 + {carries}")


def mac_pe():
    d = Drawing("mac-pe", 980, 340, "MAC PE: accumulator in the compressor tree, one carry-propagate adder")
    rows = operands(d, "digit|encoder", "partial|products:|4 rows of|10 dots")
    boxes = (510, 120, 132, "compressor|tree"), (690, 84, 60, "prefix|adder"), (820, 52, 52, "acc", REG)
    tree, _, acc = d.row(118, ("2 rows", "32"), *boxes)
    feed = d.box(510, 228, 120, 44, "0 or 1 times")
    d.wire(rows.right(), tree.left(), label="40")
    d.wire(acc.right(), (970, None), label="acc 32", note=12)
    d.fork(886, 118, (None, 250), feed.right(), label="32", on=1)
    d.pin(feed, 250, "clear")
    d.wire(feed.top(), tree.bottom(), label="32")
    d.save()


def opt1_pe():
    d = Drawing("opt1-pe", 980, 340, "OPT1 PE: accumulator of a sum word and a partial carry word")
    rows = operands(d, "digit|encoder", "partial|products:|4 rows of|10 dots")
    option = d.box(490, 66, 96, 104, "products in|product_rows|dots a column|(option)", OPT)
    d.wire(rows.right(), option.left())
    carry_save(d, 630, option, "", 7)
    d.save()


def opt2_pe():
    d = Drawing("opt2-pe", 980, 340, "OPT2 PE: one digit of four lanes a cycle, all of the same weight")
    d.frame(84, 36, 816, 276)
    b = d.box(110, 140, 56, 36, "b", REG)
    rows = d.box(350, 52, 130, 132, "4 narrow rows|of 10 dots,|all of the same|weight")
    d.wire((20, 78), (350, 78), label="a: a digit of each of 4 lanes, 12", note=28)
    d.pin(b, 158, "b 32")
    d.wire(b.right(), (350, None), label="32", note=20)
    d.fork(184, 158, (None, 334))
    d.text(190, 332, "b_o 32")
    carry_save(d, 590, rows, "40", 7, ("clear", "shift"), "0, 1 or 4 times")
    d.save()


def cube_pe():
    d = Drawing("cube-pe", 980, 340, "PE of a 3D cube: four lanes of K in one compressor tree")
    rows = operands(d, "4 digit|encoders", "partial|products:|16 rows of|10 dots", 32, 32, 48)
    carry_save(d, 590, rows, "160", 8)
    d.save()


def slice_pe(name, title, lanes, carries, sparse=False):
    d = Drawing(name, 980, 340, title)
    d.frame(84, 36, 816, 276)
    rows = d.box(364, 52, 130, 132, f"±1 or ±2|times b;|{'4 rows of ' if lanes > 1 else ''}10 dots")
    for y, label, bits in ((78, "select", 2 * lanes), (158, "b", 8 * lanes)):
        register = d.box(260, y - 18, 56, 36, label, REG)
        d.wire(register.right(), (364, None), label=f"{bits}", note=6)
        if sparse:
            d.wire((200, y), register.left(), label=f"{bits}", note=8)
        else:
            d.pin(register, y, f"{label} {bits}")
    if sparse:
        encoder = d.box(104, 50, 96, 60, "sparse|encoder", REG)
        gate = d.box(104, 140, 96, 36, "0 if no digit")
        d.pin(encoder, 78, "digits 12")
        d.pin(gate, 158, "b 8")
        d.wire(encoder.top(), (None, 8), label="index 2", note=-4)
        d.wire(encoder.bottom(), gate.top())
    else:
        d.fork(326, 78, (None, 20), (970, 20), label=f"select_o {2 * lanes}", note=274)
    carry_save(d, 590, rows, f"{10 * lanes}", carries, ("clear", "shift"), "0, 1 or 4 times")
    d.save()


def final_adder():
    d = Drawing("final-adder", 980, 310, "Final adder of a column, and the correction that runs along")
    mux = d.box(60, 36, 120, 50, "row of|this cycle", MUX)
    for x in (80, 120, 160):
        d.wire((x, 8), (None, 36))
    d.text(192, 24, "s, c of the PEs of a column, 32 + 7 each")
    boxes = (560, 100, 76, "3:2|compressor"), (716, 76, 60, "2 rows", REG), (840, 70, 60, "prefix|adder")
    tree, _, adder = d.row(122, ("2 x 32", ""), *boxes)
    d.wire(mux.bottom(), (None, 122), tree.left(), label="s 32, c 7")
    d.wire(adder.right(), (970, None), label="result")
    d.text(940, 138, "32", "middle")
    d.frame(30, 150, 500, 150, "correction")
    boxes = (90, 90, 44, "0 or 1|times"), (230, 90, 44, "minus|constant"), (364, 64, 44, "running", REG)
    feed, _, running = d.row(228, ("32", ""), *boxes)
    held = d.box(452, 206, 60, 44, "held", REG)
    d.pin(feed, 216, "clear", 6)
    d.fork(342, 228, (None, 186), (482, None), held.top())
    d.wire(running.right(), (440, None), (None, 280), (60, None), (None, 240), feed.left(34 / 44))
    d.wire((482, 308), held.bottom())
    d.text(488, 292, "last")
    d.wire(held.right(), (610, None), tree.bottom(), label="32", on=1)
    d.save()


def output_stationary(name, title, broadcast):
    """Array of three rows and columns, operand a from PE to PE or broadcast."""
    width, left, dx = (980, 330, 190) if broadcast else (900, 250, 190)
    d = Drawing(name, width, 710, title)
    grid = [[d.box(left + dx * c, 124 + 100 * r, 90, 54, f"PE {r},{c}") for c in range(3)] for r in range(3)]
    for r, row in enumerate(grid):
        y, bus = row[0].left()[1], row[0].y - 14
        d.text(14, y - 11, f"a {r}: 8")
        d.wire((14, y), (70, y), end=r > 0)
        start = d.delays((70, y), r)
        if broadcast:
            encoder, held = d.row(y, ("",), (160, 68, 42, "encoder"), (250, 30, 36, "", REG))
            d.wire(start, encoder.left())
            d.wire(held.right(), (306, None), (None, bus), (row[2].top(0.2)[0], None), row[2].top(0.2))
            d.text(300, bus - 5, "12", "middle")
            for pe in row[:2]:
                d.fork(pe.top(0.2)[0], bus, pe.top(0.2))
        else:
            d.wire(start, row[0].left())
            for one, other in pairwise(row):
                d.wire(one.right(0.35), other.left(0.35), label="8", note=30)
    select, correction = d.box(40, 406, 110, 44, "select train"), d.box(40, 508, 110, 44, "correction")
    d.wire(select.right(), (left + 77, None), label="" if broadcast else "column c: c cycles later")
    fifo = d.box(left + 40, 658, 520, 30, "results: FIFO of rows", MEM)
    d.wire(fifo.right(), (width - 10, None), label="o: 3 x 32")
    start = correction.right()
    for c in range(3):
        x, edge = grid[0][c].top()[0], grid[0][c].right()[0]
        d.text(x + 6, 20, f"b {c}: 8")
        late = 0 if broadcast else c
        d.wire((x, 10), (x, 28), end=late > 0)
        d.wire(d.delays((x, 28), late, down=True), grid[0][c].top())
        for r in range(3):
            d.wire(grid[r][c].right(0.8), (edge + 34 - 10 * r, None), (None, 410))
            if r < 2:
                d.wire(grid[r][c].bottom(), grid[r + 1][c].top(), label="8", note=-4)
        d.text(edge + 42, 400, "39")
        mux = d.box(edge - 16, 410, 80, 36, "select", MUX)
        final = d.box(edge - 26, 470, 100, 44, "final adder")
        d.wire(mux.bottom(), final.top())
        d.wire(final.bottom(), (None, 544))
        d.wire(d.delays((edge + 24, 544), 1 if broadcast else 3 - c, down=True), (None, 658), label="32", note=4)
        if late:
            d.wire(start, (final.x - 66, 530))
            start = d.delays((final.x - 66, 530), 1)
        d.wire(start, (final.x - 16, None), (None, 492), final.left(), label="" if c else "32", on=0)
        start = (final.x - 16, 530)
        if c < 2:
            d.fork(*start, start, end=False)
    d.save()


def systolic_ws():
    d = Drawing("systolic-ws", 860, 730, "Weight-stationary systolic array, 4 lanes and 3 columns")
    grid = [[d.box(230 + 210 * c, 114 + 84 * r, 110, 46, f"PE {r},{c}") for c in range(3)] for r in range(4)]
    for r, row in enumerate(grid):
        y = row[0].left()[1]
        d.text(14, y - 6, f"a {r}: 8")
        d.wire((14, y), (70, y), end=r > 0)
        d.wire(d.delays((70, y), r), row[0].left())
        for one, other in pairwise(row):
            d.wire(one.right(), other.left(), label="8")
    for c in range(3):
        x = grid[0][c].x
        d.text(x - 14, 18, f"b {c}: 8")
        d.wire((x + 30, 24), (None, 38), end=c > 0)
        d.wire(d.delays((x + 30, 38), c, down=True), (None, 114))
        d.text(x + 50, 74, "minus constants")
        d.wire((x + 80, 80), (None, 114))
        for one, other in pairwise(row[c] for row in grid):
            d.wire(one.bottom(3 / 11), other.top(3 / 11), label="8")
            d.wire(one.bottom(8 / 11), other.top(8 / 11), label="18 + 12")
        resolve, add = d.box(x + 20, 454, 120, 40, "column adder", REG), d.box(x + 20, 530, 120, 36, "row adder")
        memory = d.box(x + 20, 602, 120, 48, "accumulator|rows", MEM)
        d.wire(grid[3][c].bottom(8 / 11), resolve.top(), label="18 + 12")
        d.wire(resolve.bottom(), add.top(), label="18")
        d.wire(add.bottom(), memory.top(), label="32")
        d.wire(memory.left(), (x - 10, None), (None, 548), add.left(), label="32", on=1)
        d.wire(memory.bottom(), (None, 700), label="32")
        d.text(x + 80, 718, f"o: c {c}", "middle")
    d.save()


def tree():
    d = Drawing("tree", 1080, 480, "Columns of a multiplier-adder tree of 16 lanes: OPT1 and OPT2")
    add = (860, 60, 56, "prefix|adder"), (960, 44, 44, "sum", REG)
    opt1 = (350, 110, 76, "64 rows of|10 dots"), (540, 160, 76, "compressor tree,|tree_registers|inside")
    opt2 = (350, 110, 76, "16 rows of 10|dots, all of the|same weight"), (520, 70, 56, "tree"), (650, 40, 56, "", REG)
    opt1 += (770, 40, 56, "", REG), *add
    opt2 += (736, 40, 56, "+"), (800, 30, 56, "s, c", REG), *add
    labels = ("192", "640", "2 x 20", "", "20"), ("48", "160", "2 x 14", "2 x 14", "", "", "20")
    for y, name, boxes, wires in zip((14, 250), ("OPT1 column", "OPT2 column"), (opt1, opt2), labels, strict=True):
        d.frame(84, y, 940, 216, name)
        a, rows, *rest = d.row(y + 80, wires, (120, 56, 40, "a", REG), *boxes)
        shadow, weights = d.row(y + 166, ("128",), (190, 70, 44, "shadow", REG), (310, 70, 44, "weights", REG))
        d.pin(a, y + 80, f"a {wires[0]}")
        d.fork(210, y + 80, (None, y + 34), (1070, None), label=f"a_o {wires[0]}", note=390)
        d.wire(weights.right(), (405, None), rows.bottom(), label="128", on=1)
        d.pin(shadow, y + 166, "b 8")
        d.wire(rest[-1].right(), (1070, None), label="sum 20", note=0)
    d.fork(838, 330, (None, 390), (756, None), (None, 358), label="4 times", on=1)
    d.save()


def slice_column():
    d = Drawing("slice-column", 980, 400, "Column of OPT4C PEs with its scheduler")
    schedule, bank = d.box(40, 40, 120, 56, "scheduler"), d.box(40, 140, 120, 56, "digit bank:|a row of A", MEM)
    encoder, where = d.box(230, 140, 90, 56, "sparse|encoder", REG), d.box(230, 304, 90, 44, "half, group", REG)
    select = d.box(370, 148, 56, 40, "select", REG)
    final, correction = d.box(610, 12, 120, 36, "final adder"), d.box(430, 12, 110, 36, "correction")
    mux = d.box(480, 76, 440, 32, "one PE a cycle")
    d.wire((6, 54), (40, None))
    d.text(2, 48, "start")
    d.wire((40, 84), (6, None))
    d.text(2, 100, "done")
    d.wire(schedule.bottom(), bank.top(), label="weight, entry")
    d.wire(schedule.right(), (275, None), encoder.top(), label="load", on=0)
    d.wire(bank.right(), encoder.left(), label="digits 12")
    d.wire(bank.bottom(), (None, 326), where.left(), label="group")
    d.wire(encoder.right(), select.left(), label="2")
    d.wire(correction.right(), final.left(), label="32")
    d.wire(mux.top(190 / 440), final.bottom())
    d.wire(final.right(), (970, None), label="results 32")
    d.wire(encoder.bottom(), (None, 240), (345, None), (None, 326), end=False, label="index 2", on=1)
    d.fork(345, 326, (345, 326), end=False)
    before, address = select.right(), where.right()
    for n in range(3):
        pe, held = d.box(480 + 170 * n, 146, 90, 44, f"PE {n}"), d.box(480 + 170 * n, 304, 90, 44, "address", REG)
        memory = d.box(480 + 170 * n, 226, 90, 44, f"B bank {n}", MEM)
        d.wire(before, pe.left(), label="2")
        d.wire(address, held.left(), label="address" if n == 0 else "", note=10)
        d.wire(held.top(), memory.bottom())
        d.wire(memory.top(), pe.bottom(), label="8")
        d.wire(pe.top(), (None, 108), label="s, c")
        before, address = pe.right(), held.right()
    d.save()


def bit_slice():
    d = Drawing("bit-slice", 1100, 500, "Bit-slice array: asynchronous columns, operand banks, barrier")
    barrier, collect = d.box(250, 444, 110, 40, "barrier"), d.box(1030, 130, 30, 260)
    d.text(318, 436, "start, done")
    for r in range(3):
        y = 160 + 100 * r
        d.frame(290, y - 40, 602, 80, f"column {r}", title_at=538)
        boxes = (80, 70, 40, "encoder"), (184, 84, 48, "digit bank:|2 tiles", MEM), (320, 90, 40, "scheduler,|encoder")
        boxes += tuple((474 + 130 * n, 76, 40, f"PE {r},{n}") for n in range(3))
        encoder, _, schedule, *_, last = d.row(y, ("", "", "2", "", ""), *boxes)
        final, results = d.box(826, y - 20, 52, 40, "final"), d.box(930, y - 20, 70, 40, "results", MEM)
        d.wire(last.right(), final.left())
        d.wire(final.right(), results.left(), label="32", note=3)
        d.wire(results.right(), (1030, None))
        d.text(278, y - 5, "12", "middle")
        d.pin(encoder, y, f"a {r}: 8", 10)
        d.fork(305, y + 12, schedule.left(0.8))
    d.wire((305, 172), barrier.top(0.5), end=False)
    for n in range(3):
        x = 456 + 130 * n
        bank = d.box(x - 45, 30, 90, 50, f"B bank {n}:|2 tiles", MEM)
        d.wire((x, 6), bank.top())
        d.text(x + 6, 20, f"b {n}: 8")
        d.wire(bank.bottom(), (None, 328), end=False)
        for r in range(3):
            d.fork(x, 128 + 100 * r, (x + 36, None), (None, 140 + 100 * r))
        d.text(x + 5, 102, "8 by address")
    d.wire(collect.right(), (1092, None), label="o")
    d.save()


def laconic():
    d = Drawing("laconic", 1220, 330, "Laconic: term sources at the edge, and a PE of 16 lanes")
    sequencer = d.box(214, 130, 84, 40, "sequencer")
    for y, name in ((80, "a"), (220, "b")):
        encode, source = d.row(
            y, ("256",), (80, 84, 48, "16 digit|encoders", REG), (214, 84, 48, "16 term|sources", REG)
        )
        d.pin(encode, y, f"{name} 128", 10)
        d.wire(source.right(), (370, None), label="80", note=-12)
        d.wire(*((sequencer.top(), source.bottom()) if name == "a" else (sequencer.bottom(), source.top())))
    d.frame(344, 24, 800, 286, "PE")
    lanes = d.box(370, 50, 116, 200, "16 lanes:|exponents added,|signs compared,|± 2 to the|exponent")
    boxes = (530, 56, 60, "4 bit|heaps"), (612, 56, 60, "4 x 2|rows", REG), (692, 46, 60, "bit|heap")
    boxes += (758, 50, 60, "2 rows", REG), (828, 56, 60, "prefix|adder"), (904, 46, 60, "step", REG)
    heap, *_, step = d.row(150, ("", "", "", "", ""), *boxes)
    add, acc = d.box(984, 120, 56, 60, "prefix|adder"), d.box(1072, 120, 44, 60, "acc", REG)
    d.wire(lanes.right(), heap.left())
    d.text(496, 144, "256")
    d.wire(step.right(), add.left(), label="20")
    d.wire(add.right(), acc.left(), label="32")
    feed, kept = d.box(967, 234, 90, 44, "0 or 1 times"), d.box(1072, 234, 44, 44, "kept", REG)
    d.wire(acc.bottom(), kept.top(), label="take", note=14)
    d.fork(1094, 200, (1065, None), (None, 256), feed.right())
    d.wire(feed.top(), add.bottom(), label="32")
    d.wire((800, 256), feed.left())
    d.text(804, 251, "clear")
    d.wire((1210, 268), (1116, 268))
    d.text(1152, 284, "c_i 32")
    d.wire(kept.right(10 / 44), (1210, None))
    d.text(1152, 238, "c_o 32")
    d.save()


DRAWINGS = (mac_pe, opt1_pe, opt2_pe, cube_pe, final_adder, systolic_ws, tree, slice_column, bit_slice, laconic)

if __name__ == "__main__":
    for draw in DRAWINGS:
        draw()
    output_stationary("systolic-os", "Output-stationary systolic array, 3 x 3", broadcast=False)
    output_stationary("matrix-2d", "2D matrix, 3 x 3: operand a is broadcast along its row", broadcast=True)
    slice_pe("opt3-pe", "OPT3 PE: a sparse encoder and one digit a cycle", 1, 7, sparse=True)
    slice_pe("opt4c-pe", "OPT4C PE: one digit a cycle", 1, 7)
    slice_pe("opt4e-pe", "OPT4E PE: four digits of one weight a cycle", 4, 8)
