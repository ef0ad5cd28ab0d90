"""Metrics that have no value: absent from what is returned, with the reason beside."""

from collections.abc import Callable, Iterable, Mapping

from evaluation.validation import Integers


class Undefined(ValueError):
    """A metric has no value on what was given; the message is the reason, without the metric."""


class Metrics(dict[str, float]):
    """Values of metrics by name; a metric without a value is no key.

    Attributes:
        undefined: why a metric has no value, by its name.
        caveats: what a reader of a value must know, by the metric's name.
    """

    def __init__(
        self,
        values: Mapping[str, float] | None = None,
        undefined: Mapping[str, str] | None = None,
        caveats: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(values or {})
        self.undefined = dict(undefined or {})
        self.caveats = dict(caveats or {})

    def measure(self, name: str, metric: Callable[[], float]) -> None:
        """Add what `metric` returns under this name, or the reason why it is undefined."""
        try:
            self[name] = metric()
        except Undefined as reason:
            self.undefined[name] = str(reason)

    def leave_out(self, names: Iterable[str], reason: str) -> None:
        """State one reason why several metrics have no value."""
        self.undefined |= dict.fromkeys(names, reason)

    def warn(self, names: Iterable[str], caveat: str) -> None:
        """Add one caveat to several metrics, after those that they have."""
        for name in names:
            known = self.caveats.get(name)
            self.caveats[name] = f"{known}; {caveat}" if known else caveat

    def add(self, others: "Metrics", prefix: str = "") -> None:
        """Take over the values, reasons and caveats of others, with a prefix to their names."""
        self.update({prefix + name: value for name, value in others.items()})
        self.undefined |= {prefix + name: reason for name, reason in others.undefined.items()}
        self.caveats |= {prefix + name: caveat for name, caveat in others.caveats.items()}


def check_several_classes(classes: Integers, name: str) -> None:
    """Raise Undefined unless (n,) labels are of two classes or more."""
    if (classes == classes[0]).all():
        raise Undefined(f"all {name} are of one class: there is nothing to tell apart")
