"""What ``transformer-block`` is doing: the phase, the head, and the sizes of what the phase goes through."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..models.transformer_block import HEAD_PHASES, PHASES

__all__ = ["PhaseControl", "work_words"]


def work_words(config):
    """Words of a row of the working memory: context, query and scores side by side, or what is between the layers of the MLP."""
    return max(config.width_words + config.head_words + config.token_words, config.hidden_words)


class PhaseControl(wiring.Component):
    """Phase after phase, those of a head once for each head.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`

    Members
    -------
    done : ``In(1)``
        All results of the phase are where they belong; not while ``restart`` is high.
    token_words_last : ``In``
        Number of the last word that holds an element a token.
    restart : ``Out(1)``
        The first cycle of a phase.
    now : ``Out``
        The phase, one-hot, by its name.
    words_last, columns_last : ``Out``
        Number of the last word of the reduction and of a row of results.
    sections_last : ``Out``
        Number of the last section of constants.
    read_base, write_base : ``Out``
        First word in a row of the working memory of what is read, and written.
    """

    def __init__(self, config):
        self._config = config
        words = max(config.width_words, config.hidden_words, config.token_words)
        work = range(work_words(config))
        super().__init__({
            "done": In(1),
            "token_words_last": In(range(config.token_words)),
            "restart": Out(1, init=1),
            "now": Out(data.StructLayout(dict.fromkeys(PHASES, 1))),
            "words_last": Out(range(words)),
            "columns_last": Out(range(words)),
            "sections_last": Out(range(words)),
            "read_base": Out(work),
            "write_base": Out(work),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        phase = Signal(range(len(PHASES)))
        head, head_base = Signal(range(config.heads)), Signal(range(config.width_words))
        m.d.sync += self.restart.eq(self.done)

        width, hidden, per_head = (words - 1 for words in (config.width_words, config.hidden_words, config.head_words))
        tokens = self.token_words_last
        query, scores = config.width_words, config.width_words + config.head_words
        # Words of the reduction, words of a row of results, sections of constants less one, places in the working memory.
        sizes = {
            "input": (0, width, 0, 0, 0),
            "query": (width, per_head, per_head, 0, query),
            "key": (width, per_head, per_head, 0, 0),
            "value": (width, per_head, per_head, 0, 0),
            "scores": (per_head, tokens, 0, query, scores),
            "shiftmax": (0, tokens, 0, scores, scores),
            "context": (tokens, per_head, per_head, scores, head_base),
            "projection": (width, width, width, 0, 0),
            "first_norm": (0, width, width, 0, 0),
            "expansion": (width, hidden, hidden, 0, 0),
            "contraction": (hidden, width, width, 0, 0),
            "second_norm": (0, width, width, 0, 0),
        }
        sinks = (self.words_last, self.columns_last, self.sections_last, self.read_base, self.write_base)
        with m.Switch(phase):
            for number, name in enumerate(PHASES):
                following = PHASES.index(PHASES[(number + 1) % len(PHASES)])
                with m.Case(number):
                    m.d.comb += [
                        self.now[name].eq(1),
                        *(sink.eq(value) for sink, value in zip(sinks, sizes[name], strict=True)),
                    ]
                    with m.If(self.done):
                        m.d.sync += phase.eq(following)
                        if name == HEAD_PHASES[-1]:
                            with m.If(head != config.heads - 1):
                                m.d.sync += phase.eq(PHASES.index(HEAD_PHASES[0]))
                                m.d.sync += [head.eq(head + 1), head_base.eq(head_base + config.head_words)]
                            with m.Else():
                                m.d.sync += [head.eq(0), head_base.eq(0)]
        return m
